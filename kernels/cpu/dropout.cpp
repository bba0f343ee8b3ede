#include "kernels/dropout.h"

#include <type_traits>

#include "base/random.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/simd.h"

namespace athanor::kernels::ATHANOR_ISA {
namespace {

constexpr std::int64_t kChunk = 256;

/// factors[i] = kept ? factor : 0 for elements [begin, end) of the sample. Flattened: no inline function of a header
/// that other instruction sets compile too may be left as a symbol of its own here.
[[gnu::flatten]] void fill_factors(const RandomStream& stream, std::int64_t begin, std::int64_t end, float rate,
                                   float factor, float* factors) {
  for (std::int64_t block = begin / 4; block * 4 < end; ++block) {
    const auto numbers = stream.block(static_cast<std::uint32_t>(block));
    for (int lane = 0; lane < 4; ++lane) {
      const std::int64_t e = block * 4 + lane;
      if (e >= begin && e < end) factors[e - begin] = uniform_from(numbers[lane]) >= rate ? factor : 0.0f;
    }
  }
}

/// One channel: its pixels are consecutive elements of the sample, `lanes` apart in memory. A dropped element is 0 even
/// where x is not finite.
template <typename T>
void drop_channel(const Dropout& args, const RandomStream& stream, const T* x, T* y, std::int64_t channel) {
  const std::int64_t lanes = args.view.lanes, pixels = args.view.pixels;
  const float factor = 1.0f / (1.0f - args.rate);
  float factors[kChunk];
  for (std::int64_t p = 0; p < pixels; p += kChunk) {
    const std::int64_t count = pixels - p < kChunk ? pixels - p : kChunk;
    fill_factors(stream, channel * pixels + p, channel * pixels + p + count, args.rate, factor, factors);
    for (std::int64_t i = 0; i < count; ++i) {
      const std::int64_t at = (p + i) * lanes;
      put(y[at], factors[i] != 0.0f ? to_float(x[at]) * factors[i] : 0.0f);
    }
  }
}

/// [N, F] as one group: elements are consecutive in memory too.
template <typename T>
void drop_row(const Dropout& args, const RandomStream& stream, const T* x, T* y, std::int64_t channels) {
  Dropout row = args;
  row.view = {1, 1, channels, 1};
  drop_channel(row, stream, x, y, 0);
}

[[gnu::flatten]] void dropout(const Dropout& args) {
  const ChannelView& view = args.view;
  const std::int64_t channels = args.channels ? args.channels : view.channels();
  with_type(args.dtype, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    parallel_items(args.threads, view.batch * view.groups, [&](std::int64_t item) {
      const auto index = static_cast<std::uint64_t>(args.sample_indices[item / view.groups]);
      const RandomStream stream(args.seed ^ args.key, Purpose::dropout, args.epoch, index);
      const std::int64_t offset = item * view.pixels * view.lanes, first = item % view.groups * view.lanes;
      const T* x = static_cast<const T*>(args.x) + offset;
      T* y = static_cast<T*>(args.y) + offset;
      if (view.pixels == 1 && view.groups == 1) {
        drop_row(args, stream, x, y, channels);
        for (std::int64_t v = channels; v < view.lanes; ++v) put(y[v], 0.0f);
        return;
      }
      for (std::int64_t v = 0; v < view.lanes; ++v) {
        if (first + v < channels) {
          drop_channel(args, stream, x + v, y + v, first + v);
        } else {
          for (std::int64_t p = 0; p < view.pixels; ++p) put(y[p * view.lanes + v], 0.0f);
        }
      }
    });
  });
}

[[gnu::flatten]] void stochastic_depth(const Dropout& args) {
  const std::int64_t sample = args.view.groups * args.view.pixels * args.view.lanes;
  with_type(args.dtype, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    parallel_items(args.threads, args.view.batch, [&](std::int64_t n) {
      const RandomStream stream(args.seed ^ args.key, Purpose::stochastic_depth, args.epoch,
                                static_cast<std::uint64_t>(args.sample_indices[n]));
      const bool kept = uniform_from(stream.block(0)[0]) >= args.rate;
      const float factor = 1.0f / (1.0f - args.rate);
      const T* x = static_cast<const T*>(args.x) + n * sample;
      T* y = static_cast<T*>(args.y) + n * sample;
      for_vectors(
          0, sample, [&](std::int64_t i, auto part) __attribute__((always_inline)) {
            store(y + i, kept ? load(x + i, part) * factor : Vec{}, part);
          });
    });
  });
}

}  // namespace

extern const DropoutKernels dropout_table = {dropout, stochastic_depth};

}  // namespace athanor::kernels::ATHANOR_ISA
