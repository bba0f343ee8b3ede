#include "kernels/copy_window.h"

namespace athanor::kernels {
namespace {

WindowCopy copy_of(DType dtype, const Image& source, const Image& target) {
  return {.dtype = dtype,
          .target = target.view,
          .target_height = target.height,
          .target_width = target.width,
          .source = source.view,
          .source_height = source.height,
          .source_width = source.width,
          .source_channels = source.channels};
}

}  // namespace

WindowCopy reorder_of(DType dtype, const Image& source, const ChannelView& target) {
  return copy_of(dtype, source, {target, source.channels, source.height, source.width});
}

WindowCopy pad_of(DType dtype, const Image& x, const Image& y, std::int64_t top, std::int64_t left) {
  WindowCopy copy = copy_of(dtype, x, y);
  copy.offset_y = -top;
  copy.offset_x = -left;
  return copy;
}

WindowCopy pad_backward_of(DType dtype, const Image& dy, const Image& dx, std::int64_t top, std::int64_t left) {
  return pad_of(dtype, dy, dx, -top, -left);
}

WindowCopy shortcut_a_of(DType dtype, const Image& x, const Image& y, std::int64_t stride) {
  WindowCopy copy = copy_of(dtype, x, y);
  copy.channel_offset = -((y.channels - x.channels) / 2);
  copy.stride_y = copy.stride_x = stride;
  return copy;
}

WindowCopy shortcut_a_backward_of(DType dtype, const Image& dy, const Image& dx, std::int64_t stride) {
  WindowCopy copy = copy_of(dtype, dy, dx);
  copy.channel_offset = (dy.channels - dx.channels) / 2;
  // The layout padding of dx would read the gradient of channels that the shortcut added.
  copy.source_channels = dx.channels + copy.channel_offset;
  copy.spread_y = copy.spread_x = stride;
  return copy;
}

WindowCopy concat_of(DType dtype, const Image& part, const Image& whole, std::int64_t first) {
  WindowCopy copy = copy_of(dtype, part, whole);
  copy.channel_begin = first;
  const bool is_last = first + part.channels == whole.channels;
  copy.channel_end = is_last ? whole.view.channels() : first + part.channels;
  copy.channel_offset = -first;
  return copy;
}

WindowCopy split_of(DType dtype, const Image& whole, const Image& part, std::int64_t first) {
  WindowCopy copy = copy_of(dtype, whole, part);
  copy.channel_offset = first;
  copy.source_channels = first + part.channels;
  return copy;
}

}  // namespace athanor::kernels
