// A thread takes four consecutive pixels of one channel, since four elements in logical order share a block of random
// numbers; neighbouring threads take neighbouring channels, which are neighbours in memory.
#include "kernels/cuda/random.h"

#include "base/random.h"
#include "kernels/cuda/thread_model.h"

namespace athanor::kernels::cuda {
namespace {

constexpr int kThreads = 256, kRun = 4;

/// A kept element's value, and 0 for a dropped one even where x is not finite.
template <typename T>
ATHANOR_DEVICE T dropped(T x, bool kept, float factor) {
  return store_as<T>(kept ? load_float(x) * factor : 0.0f);
}

template <typename T>
ATHANOR_KERNEL __launch_bounds__(kThreads) drop_elements(Dropout args, std::int64_t runs, std::int64_t count) {
  const T* const x = static_cast<const T*>(args.x);
  T* const y = static_cast<T*>(args.y);
  const float factor = 1.0f / (1.0f - args.rate);
  const auto epoch = static_cast<std::uint32_t>(*args.epoch);
  for (std::int64_t i = grid_thread(); i < count; i += grid_threads()) {
    const std::int64_t c = i % args.channels, run = i / args.channels % runs, n = i / args.channels / runs;
    const RandomStream stream(args.seed ^ args.key, Purpose::dropout, epoch,
                              static_cast<std::uint64_t>(args.sample_indices[n]));
    const std::int64_t element = c * args.pixels + run * kRun;
    auto block = static_cast<std::uint32_t>(element / 4);
    auto numbers = stream.block(block);
    for (int k = 0; k < kRun; ++k) {
      const std::int64_t pixel = run * kRun + k;
      if (pixel >= args.pixels) break;
      const auto wanted = static_cast<std::uint32_t>((element + k) / 4);
      if (wanted != block) {
        block = wanted;
        numbers = stream.block(block);
      }
      const unsigned place = static_cast<unsigned>((element + k) % 4);
      const std::uint32_t bits =
          place < 2 ? (place == 0 ? numbers[0] : numbers[1]) : (place == 2 ? numbers[2] : numbers[3]);
      const std::int64_t at = (n * args.pixels + pixel) * args.channels + c;
      y[at] = dropped(x[at], uniform_from(bits) >= args.rate, factor);
    }
  }
}

/// `packs`: whole packs in a sample.
template <typename T, int kPack>
ATHANOR_KERNEL __launch_bounds__(kThreads) drop_samples(Dropout args, std::int64_t packs, std::int64_t count) {
  const float factor = 1.0f / (1.0f - args.rate);
  const auto epoch = static_cast<std::uint32_t>(*args.epoch);
  for (std::int64_t i = grid_thread(); i < count; i += grid_threads()) {
    const RandomStream stream(args.seed ^ args.key, Purpose::stochastic_depth, epoch,
                              static_cast<std::uint64_t>(args.sample_indices[i / packs]));
    const bool kept = uniform_from(stream.block(0)[0]) >= args.rate;
    auto pack = load_pack<kPack>(static_cast<const T*>(args.x) + i * kPack);
    for (int k = 0; k < kPack; ++k) pack[k] = dropped(pack[k], kept, factor);
    store_pack(static_cast<T*>(args.y) + i * kPack, pack);
  }
}

template <typename T, int kPack>
void launch_samples(const Dropout& args, LaunchStream stream) {
  const std::int64_t packs = args.pixels * args.channels / kPack, count = args.batch * packs;
  launch_independent(drop_samples<T, kPack>, grid_for(count, kThreads), kThreads, 0, stream, args, packs, count);
}

}  // namespace

void launch(const Dropout& args, LaunchStream stream) {
  with_type(args.dtype, [&]<typename T>() {
    if (args.whole_samples) {
      const bool fits =
          args.pixels * args.channels % kPackOf<T> == 0 && is_aligned(args.x, 16) && is_aligned(args.y, 16);
      return fits ? launch_samples<T, kPackOf<T>>(args, stream) : launch_samples<T, 1>(args, stream);
    }
    Dropout elements = args;
    // Features in a row are the consecutive elements of one channel.
    if (args.pixels == 1) {
      elements.pixels = args.channels;
      elements.channels = 1;
    }
    const std::int64_t runs = (elements.pixels + kRun - 1) / kRun, count = args.batch * runs * elements.channels;
    launch_independent(drop_elements<T>, grid_for(count, kThreads), kThreads, 0, stream, elements, runs, count);
  });
}

}  // namespace athanor::kernels::cuda
