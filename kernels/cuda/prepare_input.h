// From raw pixels to the network's input in one pass on a GPU: crop, flip, normalise, cutout, channels last.
#pragma once

#include <cstdint>

#include "base/dtype.h"
#include "kernels/cuda/channel_order.h"
#include "kernels/sample_transform.h"

namespace athanor::kernels::cuda {

inline constexpr int kMostInputChannels = 64;

/// Orders that fold are of images with at most so many channels.
inline constexpr int kMostFoldedChannels = 4;

/// y, channels last, of the pixels that kernels/sample_transform.h names, as kernels/prepare_input.h computes them,
/// with the same bits. Folded: 2 × 2 pixels of at most kMostFoldedChannels channels into 8 or 16.
struct PrepareInput {
  DType dtype = DType::f32;  ///< of y
  std::int64_t batch = 0;
  std::int32_t channels = 0;  ///< at most kMostInputChannels
  std::int32_t height = 0;
  std::int32_t width = 0;
  ChannelOrder order;                           ///< of y
  const std::uint8_t* images = nullptr;         ///< [N, channels, H, W]
  const SampleTransform* transforms = nullptr;  ///< [N], or null: none
  float mean[kMostInputChannels] = {};
  float std[kMostInputChannels] = {};
  void* y = nullptr;
};

}  // namespace athanor::kernels::cuda
