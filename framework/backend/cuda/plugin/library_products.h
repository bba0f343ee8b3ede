// Convolutions of cuDNN and matrix products of cuBLASLt behind one door: who computes a spec follows from its kind.
#pragma once

#include <cuda_runtime.h>

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "backend/cuda/product.h"

namespace athanor::cuda {

class LibraryProducts {
 public:
  /// For the calling thread's device.
  LibraryProducts();
  ~LibraryProducts();

  std::vector<std::string> engines(const ProductSpec& spec);
  std::unique_ptr<Product> make(const ProductSpec& spec, const std::string& engine);
  void run(const Product& product, std::span<void* const> tensors, void* workspace, cudaStream_t stream);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace athanor::cuda
