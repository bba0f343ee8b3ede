// Moving elements between views: pad, crop, concat, split, the option-A shortcut, flatten and any change of layout are
// one gather, forward and backward.
#pragma once

#include <cstdint>

#include "base/dtype.h"
#include "kernels/channel_view.h"
#include "kernels/isa.h"

namespace athanor::kernels {

/// target(n, c, y, x) = source(n, c + channel_offset, sy, sx), sy = (y · stride_y + offset_y) / spread_y where that
/// divides, likewise sx; 0 where the source has no such element. Channels [channel_begin, channel_end) of the target
/// are written, no others; a target's layout padding is written as zeros when channel_end covers it.
/// The two views' lanes may differ. Target and source do not overlap.
struct WindowCopy {
  DType dtype = DType::f32;
  ChannelView target;
  std::int64_t target_height = 0;
  std::int64_t target_width = 0;
  std::int64_t channel_begin = 0;
  std::int64_t channel_end = 0;  ///< 0: all of the target's channels, padding included
  ChannelView source;
  std::int64_t source_height = 0;
  std::int64_t source_width = 0;
  std::int64_t source_channels = 0;  ///< channels in use; 0: all of the source's
  std::int64_t channel_offset = 0;
  std::int64_t stride_y = 1, stride_x = 1;
  std::int64_t spread_y = 1, spread_x = 1;
  std::int64_t offset_y = 0, offset_x = 0;
  const void* from = nullptr;
  void* to = nullptr;
  int threads = 1;
};

/// An activation [N, C, H, W] in some layout: what the makers below need to know of it.
struct Image {
  ChannelView view;
  std::int64_t channels = 0;  ///< in use
  std::int64_t height = 0;
  std::int64_t width = 0;
};

/// Copies that change the layout only (flatten: to {N, C, H · W, 1}; and back).
WindowCopy reorder_of(DType dtype, const Image& source, const ChannelView& target);
/// y = x with zeros around it.
WindowCopy pad_of(DType dtype, const Image& x, const Image& y, std::int64_t top, std::int64_t left);
WindowCopy pad_backward_of(DType dtype, const Image& dy, const Image& dx, std::int64_t top, std::int64_t left);
/// y = x[:, :, ::stride, ::stride] between (C' − C) / 2 zero channels before and the rest after (He et al. 2016, A).
WindowCopy shortcut_a_of(DType dtype, const Image& x, const Image& y, std::int64_t stride);
WindowCopy shortcut_a_backward_of(DType dtype, const Image& dy, const Image& dx, std::int64_t stride);
/// Channels [first, first + part.channels) of `whole` from `part`; the last part clears the padding of `whole`.
WindowCopy concat_of(DType dtype, const Image& part, const Image& whole, std::int64_t first);
/// `part` from channels [first, first + part.channels) of `whole`.
WindowCopy split_of(DType dtype, const Image& whole, const Image& part, std::int64_t first);

struct CopyKernels {
  void (*copy_window)(const WindowCopy&);
};
const CopyKernels& copy_kernels(Isa isa = active_isa());

}  // namespace athanor::kernels
