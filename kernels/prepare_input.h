// From raw pixels to the network's input in one pass: crop, flip, normalise, cutout, and the layout the network wants.
#pragma once

#include "base/dtype.h"
#include "kernels/channel_view.h"
#include "kernels/isa.h"
#include "kernels/sample_transform.h"

namespace athanor::kernels {

/// y = (p / 255 − mean[c]) / std[c] of the pixel p that sample_transform.h names; 0 inside the cutout box.
struct PrepareInput {
  ChannelView view;  ///< of y; pixels = height · width; lanes beyond `channels` are written as 0
  DType dtype = DType::f32;
  std::int64_t channels = 0;
  std::int64_t height = 0;
  std::int64_t width = 0;
  const std::uint8_t* images = nullptr;         ///< [N, channels, H, W]
  const SampleTransform* transforms = nullptr;  ///< [N], or null: none
  const float* mean = nullptr;                  ///< [channels]
  const float* std = nullptr;                   ///< [channels]
  void* y = nullptr;
  int threads = 1;
};

struct PrepareInputKernels {
  void (*prepare_input)(const PrepareInput&);
};

const PrepareInputKernels& prepare_input_kernels(Isa isa = active_isa());

}  // namespace athanor::kernels
