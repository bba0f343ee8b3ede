// A thread makes one pixel of y with all its channels, and writes them at once where the channels in memory allow. Each
// block tabulates the normalised value of every raw one first, in double, as the CPU does.
#include "kernels/cuda/prepare_input.h"

#include "kernels/cuda/thread_model.h"

namespace athanor::kernels::cuda {
namespace {

constexpr int kThreads = 256, kRawValues = 256;

template <typename T>
ATHANOR_DEVICE void fill_table(const PrepareInput& args, T* table) {
  for (int c = 0; c < args.channels; ++c) {
    const double mean = static_cast<double>(args.mean[c]), std = static_cast<double>(args.std[c]);
    for (int raw = static_cast<int>(threadIdx.x); raw < kRawValues; raw += static_cast<int>(blockDim.x)) {
      table[c * kRawValues + raw] = store_as<T>(static_cast<float>((raw / 255.0 - mean) / std));
    }
  }
}

ATHANOR_DEVICE SampleTransform transform_of(const PrepareInput& args, std::int64_t n) {
  return args.transforms == nullptr ? SampleTransform{} : args.transforms[n];
}

/// The channels of pixel (y, x) of y.
template <typename T>
class Pixel {
 public:
  ATHANOR_DEVICE Pixel(const PrepareInput& args, const T* table, const SampleTransform& t, std::int64_t n, int y, int x)
      : table_(table), image_(static_cast<std::int64_t>(args.height) * args.width) {
    const int sy = y + t.offset_y, sx = (t.flip ? args.width - 1 - x : x) + t.offset_x;
    is_inside_ = sy >= 0 && sy < args.height && sx >= 0 && sx < args.width;
    is_cut_ = y >= t.cutout_y0 && y < t.cutout_y1 && x >= t.cutout_x0 && x < t.cutout_x1;
    raw_ = args.images + n * args.channels * image_ + static_cast<std::int64_t>(sy) * args.width + sx;
  }

  /// c < channels.
  ATHANOR_DEVICE T operator[](int c) const {
    if (is_cut_) return store_as<T>(0.0f);
    return table_[c * kRawValues + (is_inside_ ? raw_[c * image_] : 0)];
  }

 private:
  const T* table_;
  std::int64_t image_;
  const std::uint8_t* raw_;
  bool is_inside_, is_cut_;
};

/// `kStored`: channels in memory, or 0: any number. `Index`: wide enough for a pixel's number.
template <typename T, int kStored, typename Index>
ATHANOR_KERNEL __launch_bounds__(kThreads) prepare(ATHANOR_CONSTANT_ARGUMENT PrepareInput args, Index pixels) {
  T* const table = dynamic_shared<T>();
  fill_table(args, table);
  __syncthreads();
  T* const out = static_cast<T*>(args.y);
  const Index width = static_cast<Index>(args.width), image = width * static_cast<Index>(args.height);
  for (Index i = static_cast<Index>(grid_thread()); i < pixels; i += static_cast<Index>(grid_threads())) {
    const Index n = i / image, place = i % image;
    const Pixel<T> source(args, table, transform_of(args, n), n, static_cast<int>(place / width),
                          static_cast<int>(place % width));
    const auto value = [&](int c) { return c < args.channels ? source[c] : store_as<T>(0.0f); };
    if constexpr (kStored > 0) {
      Pack<T, kStored> pixel;
      for (int c = 0; c < kStored; ++c) pixel[c] = value(c);
      store_pack(out + static_cast<std::int64_t>(i) * kStored, pixel);
    } else {
      const int stored = static_cast<int>(args.order.channels);
      for (int c = 0; c < stored; ++c) out[static_cast<std::int64_t>(i) * stored + c] = value(c);
    }
  }
}

/// The same for 2 × 2 pixels of `kChannels` channels, folded into the next multiple of 8.
template <typename T, int kChannels, typename Index>
ATHANOR_KERNEL __launch_bounds__(kThreads) prepare_folded(ATHANOR_CONSTANT_ARGUMENT PrepareInput args, Index pixels) {
  constexpr int kStored = (4 * kChannels + 7) / 8 * 8;
  T* const table = dynamic_shared<T>();
  fill_table(args, table);
  __syncthreads();
  T* const out = static_cast<T*>(args.y);
  const Index width = static_cast<Index>(args.order.width), image = width * static_cast<Index>(args.order.height);
  const int front = static_cast<int>(args.order.front);
  for (Index i = static_cast<Index>(grid_thread()); i < pixels; i += static_cast<Index>(grid_threads())) {
    const Index n = i / image, place = i % image;
    const SampleTransform transform = transform_of(args, n);
    const int top = 2 * static_cast<int>(place / width) - front, left = 2 * static_cast<int>(place % width) - front;
    T values[kStored];
#pragma unroll
    for (int part = 0; part < 4; ++part) {
      const int y = top + part / 2, x = left + part % 2;
      const bool exists = y >= 0 && y < args.height && x >= 0 && x < args.width;
      const Pixel<T> source(args, table, transform, n, y, x);
#pragma unroll
      for (int c = 0; c < kChannels; ++c) values[part * kChannels + c] = exists ? source[c] : store_as<T>(0.0f);
    }
#pragma unroll
    for (int c = 4 * kChannels; c < kStored; ++c) values[c] = store_as<T>(0.0f);
#pragma unroll
    for (int first = 0; first < kStored; first += kPackOf<T>) {
      Pack<T, kPackOf<T>> pack;
#pragma unroll
      for (int c = 0; c < kPackOf<T>; ++c) pack[c] = values[first + c];
      store_pack(out + static_cast<std::int64_t>(i) * kStored + first, pack);
    }
  }
}

template <typename T>
using Kernel = void (*)(PrepareInput, T);

/// The kernel with the narrower index that is enough for all pixels of y.
void launch_over_pixels(const PrepareInput& args, Kernel<std::uint32_t> narrow, Kernel<std::uint64_t> wide,
                        std::size_t table_bytes, LaunchStream stream) {
  const std::int64_t pixels = args.batch * args.order.height * args.order.width;
  // Few blocks with several pixels a thread, so that the tables cost little.
  const unsigned blocks = grid_for((pixels + 3) / 4, kThreads);
  if (pixels < (std::int64_t{1} << 31)) {
    launch_kernel(narrow, blocks, kThreads, table_bytes, stream, args, static_cast<std::uint32_t>(pixels));
  } else {
    launch_kernel(wide, blocks, kThreads, table_bytes, stream, args, static_cast<std::uint64_t>(pixels));
  }
}

template <typename T, int kStored>
void launch_stored(const PrepareInput& args, LaunchStream stream) {
  launch_over_pixels(args, prepare<T, kStored, std::uint32_t>, prepare<T, kStored, std::uint64_t>,
                     static_cast<std::size_t>(args.channels) * kRawValues * sizeof(T), stream);
}

template <typename T, int kChannels>
void launch_folded(const PrepareInput& args, LaunchStream stream) {
  launch_over_pixels(args, prepare_folded<T, kChannels, std::uint32_t>, prepare_folded<T, kChannels, std::uint64_t>,
                     kChannels * kRawValues * sizeof(T), stream);
}

}  // namespace

void launch(const PrepareInput& args, LaunchStream stream) {
  with_type(args.dtype, [&]<typename T>() {
    if (args.order.fold == 2) {
      static_assert(kMostFoldedChannels == 4);
      if (args.channels == 1) return launch_folded<T, 1>(args, stream);
      if (args.channels == 2) return launch_folded<T, 2>(args, stream);
      if (args.channels == 3) return launch_folded<T, 3>(args, stream);
      return launch_folded<T, 4>(args, stream);
    }
    const std::int64_t stored = args.order.channels;
    const bool aligned = is_aligned(args.y, sizeof(T) * static_cast<std::size_t>(stored));
    if (stored == 4 && aligned) return launch_stored<T, 4>(args, stream);
    if (stored == 8 && aligned) return launch_stored<T, 8>(args, stream);
    launch_stored<T, 0>(args, stream);
  });
}

}  // namespace athanor::kernels::cuda
