// A change of layout, element type, or both, for GPUs.
#pragma once

#include <cstdint>

#include "base/dtype.h"

namespace athanor::kernels::cuda {

/// Where the elements of [N, C, P] (P: pixels) lie.
struct ChannelOrder {
  bool channels_last = false;  ///< [N, P, channels] instead of [N, C, P]
  std::int64_t channels = 0;   ///< in memory; those beyond C are padding, of channels-last layouts only
};

/// y = x. Padding of y is written as zeros, that of x not looked at. y and x do not overlap.
struct Reorder {
  DType from = DType::f32;
  DType to = DType::f32;
  const void* x = nullptr;
  void* y = nullptr;
  std::int64_t batch = 0;
  std::int64_t channels = 0;  ///< C, in use
  std::int64_t pixels = 0;
  ChannelOrder source;
  ChannelOrder target;
};

}  // namespace athanor::kernels::cuda
