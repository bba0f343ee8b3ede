// A thread makes one pixel with all its channels, and writes them at once where the channels in memory allow. Each
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
    const int y = static_cast<int>(place / width), x = static_cast<int>(place % width);
    const SampleTransform t = args.transforms == nullptr ? SampleTransform{} : args.transforms[n];
    const int sy = y + t.offset_y, sx = (t.flip ? args.width - 1 - x : x) + t.offset_x;
    const bool inside = sy >= 0 && sy < args.height && sx >= 0 && sx < args.width;
    const bool cut = y >= t.cutout_y0 && y < t.cutout_y1 && x >= t.cutout_x0 && x < t.cutout_x1;
    const std::uint8_t* raw = args.images + static_cast<std::int64_t>(n) * args.channels * image +
                              static_cast<std::int64_t>(sy) * args.width + sx;
    const auto value = [&](int c) {
      if (cut || c >= args.channels) return store_as<T>(0.0f);
      return table[c * kRawValues + (inside ? raw[static_cast<std::int64_t>(c) * image] : 0)];
    };
    if constexpr (kStored > 0) {
      Pack<T, kStored> pixel;
      for (int c = 0; c < kStored; ++c) pixel[c] = value(c);
      store_pack(out + static_cast<std::int64_t>(i) * kStored, pixel);
    } else {
      for (int c = 0; c < args.stored; ++c) out[static_cast<std::int64_t>(i) * args.stored + c] = value(c);
    }
  }
}

template <typename T, int kStored>
void launch_stored(const PrepareInput& args, LaunchStream stream) {
  const std::int64_t pixels = args.batch * args.height * args.width;
  const std::size_t table_bytes = static_cast<std::size_t>(args.channels) * kRawValues * sizeof(T);
  // Few blocks with several pixels a thread, so that the tables cost little.
  const unsigned blocks = grid_for((pixels + 3) / 4, kThreads);
  if (pixels < (std::int64_t{1} << 31)) {
    launch_kernel(prepare<T, kStored, std::uint32_t>, blocks, kThreads, table_bytes, stream, args,
                  static_cast<std::uint32_t>(pixels));
  } else {
    launch_kernel(prepare<T, kStored, std::uint64_t>, blocks, kThreads, table_bytes, stream, args,
                  static_cast<std::uint64_t>(pixels));
  }
}

}  // namespace

void launch(const PrepareInput& args, LaunchStream stream) {
  with_type(args.dtype, [&]<typename T>() {
    const bool aligned = is_aligned(args.y, sizeof(T) * static_cast<std::size_t>(args.stored));
    if (args.stored == 4 && aligned) return launch_stored<T, 4>(args, stream);
    if (args.stored == 8 && aligned) return launch_stored<T, 8>(args, stream);
    launch_stored<T, 0>(args, stream);
  });
}

}  // namespace athanor::kernels::cuda
