// One number per sample and channel on a GPU: the global average pool and squeeze-and-excitation's scale.
#pragma once

#include <cstdint>

#include "base/dtype.h"

namespace athanor::kernels::cuda {

/// Images x, y, dy, dx: [N, pixels, channels], channels innermost; s, ds and pooled values: [N, channels]; all of
/// `dtype`. Sums are float, in an order that the shape fixes.
struct ChannelShape {
  DType dtype = DType::f32;
  std::int64_t batch = 0;
  std::int64_t pixels = 0;
  std::int64_t channels = 0;
};

/// y[n, c] = mean of x over the pixels.
struct GlobalAvgPool {
  ChannelShape shape;
  const void* x = nullptr;
  void* y = nullptr;
};

/// dx = dy[n, c] / pixels.
struct GlobalAvgPoolBackward {
  ChannelShape shape;
  const void* dy = nullptr;
  void* dx = nullptr;
};

/// y = x · s[n, c]; y may be x.
struct ChannelScale {
  ChannelShape shape;
  const void* x = nullptr;
  const void* s = nullptr;
  void* y = nullptr;
};

/// dx = dy · s[n, c], ds[n, c] = Σ dy · x; dx may be dy or x; dx or ds may be null.
struct ChannelScaleBackward {
  ChannelShape shape;
  const void* dy = nullptr;
  const void* x = nullptr;
  const void* s = nullptr;
  void* dx = nullptr;
  void* ds = nullptr;
};

}  // namespace athanor::kernels::cuda
