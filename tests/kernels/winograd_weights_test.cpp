#include "kernels/winograd_weights.h"

#include <cstring>
#include <memory>

#include "kernels/kernel_testing.h"

namespace athanor::kernels::testing::winograd_weights {
namespace {

int width_of(Isa isa) {
  return isa == Isa::avx512 ? 16 : isa == Isa::avx2 ? 8 : 4;
}

/// A convolution whose channels are counted in vectors, so that every instruction set has its like.
struct Case {
  std::int64_t batch, in_vectors, out_vectors, height, width, pad_top, pad_left, pad_bottom, pad_right;

  WinogradShape shape(Isa isa) const {
    return {.batch = batch,
            .in_channels = in_vectors * width_of(isa),
            .out_channels = out_vectors * width_of(isa),
            .height = height,
            .width = width,
            .out_height = height + pad_top + pad_bottom - 2,
            .out_width = width + pad_left + pad_right - 2,
            .pad_top = pad_top,
            .pad_left = pad_left};
  }
};

constexpr Case kCases[] = {
    {2, 1, 1, 8, 8, 1, 1, 1, 1},    // one vector each, whole tiles
    {3, 2, 3, 7, 5, 1, 1, 1, 1},    // pairs and a single one; tiles over the edge
    {1, 3, 2, 9, 13, 0, 0, 0, 0},   // no padding
    {2, 1, 2, 6, 3, 2, 2, 2, 2},    // padding of two
    {1, 2, 1, 3, 11, 0, 2, 2, 1},   // another padding on each side
    {1, 1, 1, 1, 1, 1, 1, 1, 1},    // a single pixel
    {1, 1, 2, 4, 75, 1, 1, 1, 1},   // more tiles in a row than are transformed at a time
    {7, 2, 1, 21, 22, 1, 1, 1, 1},  // several blocks, the last one short
    {2, 9, 10, 6, 6, 1, 1, 1, 1},   // several slabs of channels
    {1, 17, 18, 5, 3, 1, 1, 1, 1},  // so many sums that threads share them out
};

/// And one of so many tiles too that they are transformed again for other channels.
std::vector<Case> all_cases() {
  std::vector<Case> all(std::begin(kCases), std::end(kCases));
  all.push_back({4, 17, 18, 30, 32, 1, 1, 1, 1});
  return all;
}

std::int64_t pixels_in(const WinogradShape& s) {
  return s.height * s.width;
}
std::int64_t pixels_out(const WinogradShape& s) {
  return s.out_height * s.out_width;
}

struct Data {
  std::vector<float> x, dy, dweight, dbias;

  explicit Data(const WinogradShape& s, double mean = 0)
      : x(random_floats(s.batch * s.in_channels * pixels_in(s), 1, mean)),
        dy(random_floats(s.batch * s.out_channels * pixels_out(s), 2)),
        dweight(static_cast<std::size_t>(9 * s.in_channels * s.out_channels), -1.0f),
        dbias(static_cast<std::size_t>(s.out_channels), -1.0f) {}
};

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

/// Runs the kernel with scratch that holds rubbish.
void run(Isa isa, WinogradWeightGradient args, Data& data) {
  const std::size_t bytes = winograd_weights_scratch_bytes(args.shape, args.threads);
  const std::unique_ptr<void, decltype(&std::free)> scratch(std::aligned_alloc(64, (bytes + 63) / 64 * 64), std::free);
  std::memset(scratch.get(), 0xff, bytes);
  args.x = data.x.data();
  args.dy = data.dy.data();
  args.dweight = data.dweight.data();
  args.dbias = data.dbias.data();
  args.scratch = scratch.get();
  winograd_weights_kernels(isa).gradient(args);
}

/// The gradient by direct summation in T, in the order n, y, x.
template <typename T>
T direct(const WinogradShape& s, const Data& data, int w, std::int64_t o, std::int64_t i, std::int64_t r,
         std::int64_t k) {
  const ChannelView in{s.batch, s.in_channels / w, pixels_in(s), w}, out{s.batch, s.out_channels / w, pixels_out(s), w};
  T sum = 0;
  for (std::int64_t n = 0; n < s.batch; ++n) {
    for (std::int64_t y = 0; y < s.out_height; ++y) {
      for (std::int64_t x = 0; x < s.out_width; ++x) {
        const std::int64_t row = y + r - s.pad_top, column = x + k - s.pad_left;
        if (row < 0 || row >= s.height || column < 0 || column >= s.width) continue;
        sum += static_cast<T>(data.dy[static_cast<std::size_t>(offset_of(out, n, o, y * s.out_width + x))]) *
               static_cast<T>(data.x[static_cast<std::size_t>(offset_of(in, n, i, row * s.width + column))]);
      }
    }
  }
  return sum;
}

std::size_t weight_offset(const WinogradShape& s, int w, std::int64_t o, std::int64_t i, std::int64_t tap) {
  return static_cast<std::size_t>((((o / w * (s.in_channels / w) + i / w) * 9 + tap) * w + i % w) * w + o % w);
}

TEST(WinogradWeights, ErrorIsAtMostSixteenTimesThatOfDirectSummation) {
  for (const Isa isa : isas()) {
    for (const Case& c : all_cases()) {
      const WinogradShape s = c.shape(isa);
      const int w = width_of(isa);
      Data data(s);
      run(isa, {.shape = s}, data);
      // About ten million products are enough to compare.
      const std::int64_t products = s.in_channels * s.out_channels * s.batch * pixels_out(s);
      const std::int64_t every = 1 + products / 1'000'000;
      double error = 0, direct_error = 0, squares = 0;
      for (std::int64_t o = 0; o < s.out_channels; ++o) {
        for (std::int64_t i = o % every; i < s.in_channels; i += every) {
          for (std::int64_t tap = 0; tap < 9; ++tap) {
            const double want = direct<double>(s, data, w, o, i, tap / 3, tap % 3);
            const double summed = direct<float>(s, data, w, o, i, tap / 3, tap % 3);
            squares += want * want;
            direct_error += std::pow(summed - want, 2);
            error += std::pow(data.dweight[weight_offset(s, w, o, i, tap)] - want, 2);
          }
        }
      }
      // Few terms may sum without any error; the factors' own rounding is of 2^-24 at least.
      EXPECT_LE(std::sqrt(error), 16 * (std::sqrt(direct_error) + 0x1p-24 * std::sqrt(squares)))
          << name_of(isa) << " " << c.height << "x" << c.width;
    }
  }
}

TEST(WinogradWeights, BiasGradientIsTheSumOfTheOutputsGradient) {
  for (const Isa isa : isas()) {
    for (const Case& c : kCases) {
      const WinogradShape s = c.shape(isa);
      const int w = width_of(isa);
      Data data(s);
      run(isa, {.shape = s}, data);
      const ChannelView out{s.batch, s.out_channels / w, pixels_out(s), w};
      for (std::int64_t o = 0; o < s.out_channels; ++o) {
        double sum = 0, terms = 0;
        for (std::int64_t n = 0; n < s.batch; ++n) {
          for (std::int64_t p = 0; p < out.pixels; ++p) {
            const double dy = data.dy[static_cast<std::size_t>(offset_of(out, n, o, p))];
            sum += dy;
            terms += std::fabs(dy);
          }
        }
        // Sums of at most 2 + 4 terms a tile, then of tiles and rows: far below the bound for a chain of all of them.
        ASSERT_NEAR(data.dbias[static_cast<std::size_t>(o)], sum, 16 * 0x1p-24 * terms) << name_of(isa);
      }
    }
  }
}

TEST(WinogradWeights, EqualThreadsGiveEqualBits) {
  for (const Isa isa : isas()) {
    for (const Case& c : all_cases()) {
      for (const int threads : {1, 3}) {
        const WinogradShape s = c.shape(isa);
        Data first(s), again(s);
        run(isa, {.shape = s, .threads = threads}, first);
        run(isa, {.shape = s, .threads = threads}, again);
        ASSERT_TRUE(same_bits(first.dweight, again.dweight));
        ASSERT_TRUE(same_bits(first.dbias, again.dbias));
        if (threads == 1) continue;
        Data one(s);
        run(isa, {.shape = s, .threads = 1}, one);
        double difference = 0, size = 0;
        for (std::size_t i = 0; i < one.dweight.size(); ++i) {
          difference += std::pow(first.dweight[i] - one.dweight[i], 2);
          size += std::pow(one.dweight[i], 2);
        }
        // Both are within 16 · 2^-24 of the sum, up to the growth over the few hundred tiles of these cases.
        ASSERT_LE(difference, std::pow(64 * 0x1p-24, 2) * size) << name_of(isa) << " " << threads;
      }
    }
  }
}

TEST(WinogradWeights, NormalisesItsInputAsAPassBeforeWould) {
  for (const Isa isa : isas()) {
    for (const Case& c : kCases) {
      for (const bool relu : {false, true}) {
        const WinogradShape s = c.shape(isa);
        const int w = width_of(isa);
        const auto scale = random_floats(s.in_channels, 3, 1, 0.5), shift = random_floats(s.in_channels, 4);
        Data fused(s, 0.5), plain(s, 0.5);
        run(isa, {.shape = s, .in_scale = scale.data(), .in_shift = shift.data(), .in_relu = relu}, fused);
        const ChannelView in{s.batch, s.in_channels / w, pixels_in(s), w};
        for (std::int64_t n = 0; n < s.batch; ++n) {
          for (std::int64_t i = 0; i < s.in_channels; ++i) {
            for (std::int64_t p = 0; p < in.pixels; ++p) {
              float& x = plain.x[static_cast<std::size_t>(offset_of(in, n, i, p))];
              const float a = scale[static_cast<std::size_t>(i)], b = shift[static_cast<std::size_t>(i)];
              x = isa == Isa::baseline ? x * a + b : std::fma(x, a, b);
              if (relu && x < 0) x = 0;
            }
          }
        }
        run(isa, {.shape = s}, plain);
        ASSERT_TRUE(same_bits(fused.dweight, plain.dweight)) << name_of(isa);
      }
    }
  }
}

TEST(WinogradWeights, NothingOutsideTheTensorsIsRead) {
  for (const Isa isa : isas()) {
    for (const Case& c : kCases) {
      const WinogradShape s = c.shape(isa);
      Data want(s), framed(s);
      run(isa, {.shape = s}, want);
      // NaN before and behind: whatever reads it shows it in the sums.
      const auto frame = [](const std::vector<float>& inner) {
        std::vector<float> outer(inner.size() + 8192, std::nanf(""));
        std::copy(inner.begin(), inner.end(), outer.begin() + 4096);
        return outer;
      };
      const auto x = frame(want.x), dy = frame(want.dy);
      const std::size_t bytes = winograd_weights_scratch_bytes(s, 1);
      const std::unique_ptr<void, decltype(&std::free)> scratch(std::aligned_alloc(64, (bytes + 63) / 64 * 64),
                                                                std::free);
      winograd_weights_kernels(isa).gradient({.shape = s,
                                              .x = x.data() + 4096,
                                              .dy = dy.data() + 4096,
                                              .dweight = framed.dweight.data(),
                                              .scratch = scratch.get()});
      ASSERT_TRUE(same_bits(framed.dweight, want.dweight)) << name_of(isa);
    }
  }
}

}  // namespace
}  // namespace athanor::kernels::testing::winograd_weights
