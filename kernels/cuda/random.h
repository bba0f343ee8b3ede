// Dropout and stochastic depth on a GPU, with the masks of kernels/dropout.h.
#pragma once

#include <cstdint>

#include "base/dtype.h"

namespace athanor::kernels::cuda {

/// y = kept ? x / (1 − rate) : 0 for images [N, pixels, channels] with channels innermost; [N, F]: pixels = 1. What is
/// kept follows from seed, key, epoch, sample index and the element's place in logical [C, H, W] order.
struct Dropout {
  DType dtype = DType::f32;
  bool whole_samples = false;  ///< stochastic depth
  std::int64_t batch = 0;
  std::int64_t pixels = 0;
  std::int64_t channels = 0;
  const void* x = nullptr;                       ///< x, or dy in the backward pass
  void* y = nullptr;                             ///< may be x
  const std::int64_t* sample_indices = nullptr;  ///< [N], device
  const std::int64_t* epoch = nullptr;           ///< device
  std::uint64_t seed = 0;
  std::uint64_t key = 0;
  float rate = 0;  ///< [0, 1)
};

}  // namespace athanor::kernels::cuda
