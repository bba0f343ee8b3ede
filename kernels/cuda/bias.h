// Biases of products: added with an activation behind a convolution or matrix product, and their gradient.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/dtype.h"
#include "kernels/cuda/column_grid.h"

namespace athanor::kernels::cuda {

/// y = act(y + bias) in place, y [rows, channels].
struct BiasActivation {
  DType dtype = DType::f32;
  std::int64_t rows = 0;
  std::int64_t channels = 0;
  void* y = nullptr;
  const float* bias = nullptr;  ///< [channels], or null: only the activation
  bool relu = false;
};

/// sums[c] = Σ over the rows of dy[row, c], in the same order every time.
struct ColumnSums {
  DType dtype = DType::f32;
  std::int64_t rows = 0;
  std::int64_t channels = 0;
  const void* dy = nullptr;
  const void* y = nullptr;  ///< or null: rows count only where y > 0 (or NaN), the gradient of a fused ReLU
  float* sums = nullptr;    ///< [channels]
  void* scratch = nullptr;  ///< column_sums_scratch_bytes, 16-byte aligned
};

inline std::size_t column_sums_scratch_bytes(DType dtype, std::int64_t rows, std::int64_t channels) {
  return column_scratch_bytes(dtype, rows, channels, 1);
}

}  // namespace athanor::kernels::cuda
