// A change of layout, element type, or both, for GPUs.
#pragma once

#include <cstdint>

#include "base/dtype.h"
#include "kernels/cuda/channel_order.h"

namespace athanor::kernels::cuda {

/// y = x. Padding of y is written as zeros, that of x not looked at. y and x do not overlap.
struct Reorder {
  DType from = DType::f32;
  DType to = DType::f32;
  const void* x = nullptr;
  void* y = nullptr;
  std::int64_t batch = 0;
  std::int64_t channels = 0;  ///< C, in use
  std::int64_t height = 0;    ///< H
  std::int64_t width = 0;     ///< W
  ChannelOrder source;
  ChannelOrder target;

  std::int64_t pixels() const { return height * width; }
};

}  // namespace athanor::kernels::cuda
