// A thread writes a few neighbouring channels of one target pixel: 16 bytes where all channel counts and offsets allow.
#include "kernels/cuda/copy_window.h"

#include "kernels/cuda/thread_model.h"

namespace athanor::kernels::cuda {
namespace {

constexpr int kThreads = 256;

/// Where a row or column of the target reads the source; −1: nowhere.
ATHANOR_DEVICE std::int64_t source_place(std::int64_t at, std::int64_t stride, std::int64_t offset, std::int64_t spread,
                                         std::int64_t limit) {
  const std::int64_t place = at * stride + offset;
  if (place < 0) return -1;
  if (spread == 1) return place < limit ? place : -1;
  return place % spread == 0 && place / spread < limit ? place / spread : -1;
}

/// T: an unsigned type as wide as an element, whose bits move. `packs`: per pixel. `Index` holds `count` = pixels of
/// all images · packs.
template <typename T, int kPack, typename Index>
ATHANOR_KERNEL __launch_bounds__(kThreads) copy(WindowCopy args, Index packs, std::int64_t used, Index count) {
  const Index width = static_cast<Index>(args.target_width), height = static_cast<Index>(args.target_height);
  for (Index i = static_cast<Index>(grid_thread()); i < count; i += static_cast<Index>(grid_threads())) {
    const Index pixel = i / packs;
    const std::int64_t channel = args.channel_begin + static_cast<std::int64_t>(i % packs) * kPack;
    const std::int64_t x = static_cast<std::int64_t>(pixel % width);
    const std::int64_t y = static_cast<std::int64_t>(pixel / width % height);
    const std::int64_t n = static_cast<std::int64_t>(pixel / width / height);
    const std::int64_t sx = source_place(x, args.stride_x, args.offset_x, args.spread_x, args.source_width);
    const std::int64_t sy = source_place(y, args.stride_y, args.offset_y, args.spread_y, args.source_height);
    const std::int64_t from = channel + args.channel_offset;
    Pack<T, kPack> pack{};
    if (sx >= 0 && sy >= 0 && from >= 0 && from < used) {
      const std::int64_t at = (n * args.source_height + sy) * args.source_width + sx;
      pack = load_pack<kPack>(static_cast<const T*>(args.from) + at * args.source.lanes + from);
    }
    store_pack(static_cast<T*>(args.to) + static_cast<std::int64_t>(pixel) * args.target.lanes + channel, pack);
  }
}

template <typename T, int kPack>
void launch_pack(const WindowCopy& args, std::int64_t end, std::int64_t used, LaunchStream stream) {
  const std::int64_t packs = (end - args.channel_begin) / kPack;
  const std::int64_t count = args.target.batch * args.target_height * args.target_width * packs;
  const unsigned blocks = grid_for(count, kThreads);
  if (count < (std::int64_t{1} << 31)) {
    launch_independent(copy<T, kPack, std::uint32_t>, blocks, kThreads, 0, stream, args,
                       static_cast<std::uint32_t>(packs), used, static_cast<std::uint32_t>(count));
  } else {
    launch_independent(copy<T, kPack, std::uint64_t>, blocks, kThreads, 0, stream, args,
                       static_cast<std::uint64_t>(packs), used, static_cast<std::uint64_t>(count));
  }
}

template <typename T>
void launch_type(const WindowCopy& args, LaunchStream stream) {
  const std::int64_t end = args.channel_end != 0 ? args.channel_end : args.target.lanes;
  const std::int64_t used = args.source_channels != 0 ? args.source_channels : args.source.lanes;
  const auto fits = [&](std::int64_t pack) {
    for (const std::int64_t number :
         {args.channel_begin, end, args.channel_offset, args.target.lanes, args.source.lanes, used}) {
      if (number % pack != 0) return false;
    }
    const std::size_t bytes = static_cast<std::size_t>(pack) * sizeof(T);
    return is_aligned(args.from, bytes) && is_aligned(args.to, bytes);
  };
  if (fits(kPackOf<T>)) return launch_pack<T, kPackOf<T>>(args, end, used, stream);
  if (fits(2)) return launch_pack<T, 2>(args, end, used, stream);
  launch_pack<T, 1>(args, end, used, stream);
}

}  // namespace

void launch(const CopyWindow& copy_window, LaunchStream stream) {
  const WindowCopy& args = copy_window.window;
  if (size_of(args.dtype) == 2) return launch_type<std::uint16_t>(args, stream);
  launch_type<std::uint32_t>(args, stream);
}

}  // namespace athanor::kernels::cuda
