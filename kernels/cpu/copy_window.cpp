#include "kernels/copy_window.h"

#include <cstring>

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/simd.h"

namespace athanor::kernels::ATHANOR_ISA {
namespace {

/// Where a row or column of the target reads the source; −1: nowhere.
std::int64_t source_place(std::int64_t at, std::int64_t stride, std::int64_t offset, std::int64_t spread,
                          std::int64_t limit) {
  const std::int64_t place = at * stride + offset;
  if (place < 0 || place % spread != 0 || place / spread >= limit) return -1;
  return place / spread;
}

/// One run of lanes that is contiguous in both views, at every pixel of one image; source null: zeros.
struct LaneRun {
  std::int64_t target_lanes, source_lanes, count;
};

template <typename T>
ATHANOR_INLINE void copy_lanes(T* to, const T* from, std::int64_t count) {
  if (count == 1) {
    *to = *from;
  } else {
    std::memcpy(to, from, static_cast<std::size_t>(count) * sizeof(T));
  }
}

template <typename T>
void copy_row(const WindowCopy& args, T* to, const T* from, const LaneRun& run) {
  const std::int64_t width = args.target_width;
  const bool dense = run.count == run.target_lanes && run.count == run.source_lanes;
  if (from && dense && args.stride_x == 1 && args.spread_x == 1) {
    const std::int64_t left = args.offset_x < 0 ? (-args.offset_x < width ? -args.offset_x : width) : 0;
    const std::int64_t ends = args.source_width - args.offset_x;
    const std::int64_t right = ends < left ? left : ends < width ? ends : width;
    const auto bytes = [&](std::int64_t pixels) { return static_cast<std::size_t>(pixels * run.count) * sizeof(T); };
    std::memset(to, 0, bytes(left));
    std::memcpy(to + left * run.count, from + (left + args.offset_x) * run.count, bytes(right - left));
    std::memset(to + right * run.count, 0, bytes(width - right));
    return;
  }
  for (std::int64_t x = 0; x < width; ++x) {
    const std::int64_t sx = from ? source_place(x, args.stride_x, args.offset_x, args.spread_x, args.source_width) : -1;
    T* target = to + x * run.target_lanes;
    if (sx < 0) {
      for (std::int64_t v = 0; v < run.count; ++v) target[v] = 0;
    } else {
      copy_lanes(target, from + sx * run.source_lanes, run.count);
    }
  }
}

template <typename T>
void copy_run(const WindowCopy& args, T* to, const T* from, const LaneRun& run) {
  for (std::int64_t y = 0; y < args.target_height; ++y) {
    const std::int64_t sy = source_place(y, args.stride_y, args.offset_y, args.spread_y, args.source_height);
    const T* row = from && sy >= 0 ? from + sy * args.source_width * run.source_lanes : nullptr;
    copy_row(args, to + y * args.target_width * run.target_lanes, row, run);
  }
}

template <typename T>
void copy_group(const WindowCopy& args, std::int64_t n, std::int64_t group, std::int64_t channel_end) {
  const ChannelView& target = args.target;
  const ChannelView& source = args.source;
  const std::int64_t used = args.source_channels ? args.source_channels : source.channels();
  const std::int64_t first = group * target.lanes, last = first + target.lanes;
  T* to = static_cast<T*>(args.to) + (n * target.groups + group) * target.pixels * target.lanes;
  std::int64_t c = first > args.channel_begin ? first : args.channel_begin;
  const std::int64_t end = last < channel_end ? last : channel_end;
  while (c < end) {
    const std::int64_t from_channel = c + args.channel_offset;
    std::int64_t count = end - c;
    const T* from = nullptr;
    if (from_channel < 0) {
      if (-from_channel < count) count = -from_channel;
    } else if (from_channel < used) {
      const std::int64_t lane = from_channel % source.lanes;
      if (source.lanes - lane < count) count = source.lanes - lane;
      if (used - from_channel < count) count = used - from_channel;
      from = static_cast<const T*>(args.from) +
             (n * source.groups + from_channel / source.lanes) * source.pixels * source.lanes + lane;
    }
    copy_run(args, to + (c - first), from, {target.lanes, source.lanes, count});
    c += count;
  }
}

void copy_window(const WindowCopy& args) {
  const std::int64_t channel_end = args.channel_end ? args.channel_end : args.target.channels();
  const auto copy = [&](auto zero) {
    using T = decltype(zero);
    parallel_items(args.threads, args.target.batch * args.target.groups, [&](std::int64_t item) {
      copy_group<T>(args, item / args.target.groups, item % args.target.groups, channel_end);
    });
  };
  if (args.dtype == DType::bf16) {
    copy(std::uint16_t{});
  } else {
    copy(std::uint32_t{});
  }
}

}  // namespace

extern const CopyKernels copy_table = {copy_window};

}  // namespace athanor::kernels::ATHANOR_ISA
