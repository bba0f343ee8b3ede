// Convolutions by cuDNN's graph API. The frontend's headers take over a minute to compile, so one file includes them.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "backend/cuda/product.h"

struct CUstream_st;  // cudaStream_t

namespace athanor::cuda {

class CudnnConvolutions {
 public:
  /// `device_properties`: JSON of a GPU that is not there; plans can then be made but not run. "": the current GPU.
  explicit CudnnConvolutions(const std::string& device_properties = "");
  ~CudnnConvolutions();
  CudnnConvolutions(const CudnnConvolutions&) = delete;
  CudnnConvolutions& operator=(const CudnnConvolutions&) = delete;

  /// Engines with their settings ("eng5_k2=4_k13=1") that may run `spec` here, in the order of cuDNN's heuristics:
  /// never one that rounds inputs or sums further than asked, nor, where that is wanted, one whose bits vary.
  std::vector<std::string> engines(const ConvolutionSpec& spec);
  /// nullptr where that engine cannot.
  std::unique_ptr<Product> make(const ConvolutionSpec& spec, const std::string& engine);
  /// What cuDNN said when the last call came back empty.
  const std::string& failure() const;
  /// `product` must come from make(). Throws DeviceError with cuDNN's words.
  void run(const Product& product, std::span<void* const> tensors, void* workspace, CUstream_st* stream);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace athanor::cuda
