// Sums and tests over flat float arenas on a GPU, in a fixed order.
#pragma once

#include <cstdint>

#include "base/dtype.h"

namespace athanor::kernels::cuda {

/// target[i] = left[i] + right[i]; target may be left or right.
struct TreeAdd {
  const float* left = nullptr;
  const float* right = nullptr;
  float* target = nullptr;
  std::int64_t count = 0;
};

/// block_sums[b] = Σ values[i]² over block b of kernels/reduce.h's kSumBlock elements, in double.
struct SumOfSquares {
  const float* values = nullptr;
  std::int64_t count = 0;
  double* block_sums = nullptr;  ///< ⌈count / kSumBlock⌉
};

/// Writes 0 to *is_finite where an element is infinite or NaN; else leaves it. dtype f32, bf16 or f16.
struct IsFinite {
  DType dtype = DType::f32;
  const void* values = nullptr;
  std::int64_t count = 0;
  std::int32_t* is_finite = nullptr;
};

/// Exchanges two ranges.
struct Swap {
  float* first = nullptr;
  float* second = nullptr;
  std::int64_t count = 0;
};

}  // namespace athanor::kernels::cuda
