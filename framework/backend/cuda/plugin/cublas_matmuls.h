// Matrix products by cuBLASLt.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "backend/cuda/product.h"

struct CUstream_st;  // cudaStream_t

namespace athanor::cuda {

class CublasMatmuls {
 public:
  /// On the current GPU.
  CublasMatmuls();
  ~CublasMatmuls();
  CublasMatmuls(const CublasMatmuls&) = delete;
  CublasMatmuls& operator=(const CublasMatmuls&) = delete;

  /// Algorithms with their settings ("algo21_tile15_stages16_…"), in the order of cuBLASLt's heuristics. All give the
  /// same bits every time: a sum that is split over blocks is put together in a pass of its own, in float32.
  std::vector<std::string> engines(const MatmulSpec& spec);
  /// nullptr where that engine cannot.
  std::unique_ptr<Product> make(const MatmulSpec& spec, const std::string& engine);
  /// `product` must come from make(). Throws DeviceError with cuBLAS's words.
  void run(const Product& product, std::span<void* const> tensors, void* workspace, CUstream_st* stream);

 private:
  void* handle_ = nullptr;  ///< cublasLtHandle_t
};

}  // namespace athanor::cuda
