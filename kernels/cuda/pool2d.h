// Max and average pooling over windows of images with channels innermost. Semantics are those of kernels/pool2d.h.
#pragma once

#include <cstdint>

#include "base/dtype.h"

namespace athanor::kernels::cuda {

/// x [samples, height, width, channels], y [samples, out_height, out_width, channels], both of `dtype`.
struct PoolShape {
  DType dtype = DType::f32;
  std::int64_t samples = 0;
  int channels = 0;
  int height = 0, width = 0;
  int out_height = 0, out_width = 0;
  int kernel_y = 1, kernel_x = 1;
  int stride_y = 1, stride_x = 1;
  int pad_y = 0, pad_x = 0;
};

/// Ties: the first in scan order wins; NaN wins over all; padding is −∞.
struct MaxPool {
  PoolShape shape;
  const void* x = nullptr;
  void* y = nullptr;
  void* indices = nullptr;         ///< ky · kernel_x + kx of the winner, laid out as y; or null
  DType index_dtype = DType::i32;  ///< or u8, for windows of up to 256 elements
};

/// dx gathers: every input looks at the windows that hold it, so that no two threads add to one element.
struct MaxPoolBackward {
  PoolShape shape;
  const void* dy = nullptr;
  const void* indices = nullptr;
  DType index_dtype = DType::i32;
  void* dx = nullptr;
};

struct AvgPool {
  PoolShape shape;
  bool count_include_pad = true;
  const void* x = nullptr;
  void* y = nullptr;
};

struct AvgPoolBackward {
  PoolShape shape;
  bool count_include_pad = true;
  const void* dy = nullptr;
  void* dx = nullptr;
};

}  // namespace athanor::kernels::cuda
