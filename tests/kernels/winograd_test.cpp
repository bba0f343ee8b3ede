#include "kernels/winograd.h"

#include <algorithm>
#include <cstring>
#include <memory>

#include "kernels/kernel_testing.h"

namespace athanor::kernels::testing {
namespace {

std::int64_t width_of(Isa isa) {
  return isa == Isa::avx512 ? 16 : isa == Isa::avx2 ? 8 : 4;
}

struct Scratch {
  explicit Scratch(std::size_t bytes)
      : memory(static_cast<char*>(std::aligned_alloc(64, (bytes + 63) / 64 * 64)), std::free) {
    std::memset(memory.get(), 0xff, bytes);  // NaN wherever something is read that was not written
  }
  std::unique_ptr<char, void (*)(void*)> memory;
};

/// Random tensors of one convolution. Channels are counted in vectors of `isa`.
struct Case {
  Isa isa;
  WinogradShape shape;
  ChannelView in, out;
  std::vector<float> x, weight, bias, residual, scale, shift;

  Case(Isa isa, WinogradShape s, double mean = 0) : isa(isa), shape(s) {
    const std::int64_t v = width_of(isa);
    in = {s.batch, s.in_channels / v, s.height * s.width, v};
    out = {s.batch, s.out_channels / v, s.out_height * s.out_width, v};
    x = random_floats(in.elements(), 1, mean);
    weight = random_floats(9 * s.in_channels * s.out_channels, 2, mean);
    bias = random_floats(s.out_channels, 3);
    residual = random_floats(out.elements(), 4);
    scale = random_floats(s.in_channels, 5);
    shift = random_floats(s.in_channels, 6);
  }

  /// The weight of in-channel c, out-channel o as the call reads it.
  float weight_at(bool turned, std::int64_t c, std::int64_t o, std::int64_t i, std::int64_t j) const {
    const std::int64_t v = in.lanes, rows = turned ? c : o, columns = turned ? o : c;
    const std::int64_t groups = (turned ? shape.out_channels : shape.in_channels) / v;
    const std::int64_t tap = turned ? 8 - (3 * i + j) : 3 * i + j;
    const std::int64_t block = (rows / v * groups + columns / v) * 9 + tap;
    return weight[static_cast<std::size_t>((block * v + columns % v) * v + rows % v)];
  }

  WinogradConvolution args() const { return {.shape = shape, .x = x.data(), .weight = weight.data()}; }

  std::vector<float> run(WinogradConvolution args) const {
    std::vector<float> y(static_cast<std::size_t>(out.elements()), -1e30f);
    const Scratch scratch(winograd_scratch_bytes(shape, args.threads, isa));
    args.y = y.data();
    args.scratch = scratch.memory.get();
    winograd_kernels(isa).convolve(args);
    return y;
  }

  /// Direct summation in `Real`.
  template <typename Real>
  std::vector<Real> direct(bool turned) const {
    const std::int64_t channels = shape.in_channels, v = out.lanes;
    std::vector<Real> w(weight.size()), y(static_cast<std::size_t>(out.elements()));
    for (std::int64_t i = 0; i < 9 * channels * shape.out_channels; ++i) {
      const std::int64_t o = i % shape.out_channels, c = i / shape.out_channels % channels;
      const std::int64_t tap = i / shape.out_channels / channels;
      w[static_cast<std::size_t>(i)] = static_cast<Real>(weight_at(turned, c, o, tap / 3, tap % 3));
    }
    for (std::int64_t at = 0; at < out.elements(); at += v) {
      const std::int64_t p = at / v % out.pixels, group = at / v / out.pixels % out.groups;
      const std::int64_t n = at / v / out.pixels / out.groups;
      for (std::int64_t tap = 0; tap < 9; ++tap) {
        const std::int64_t row = p / shape.out_width - shape.pad_top + tap / 3;
        const std::int64_t column = p % shape.out_width - shape.pad_left + tap % 3;
        if (row < 0 || row >= shape.height || column < 0 || column >= shape.width) continue;
        for (std::int64_t c = 0; c < channels; ++c) {
          const auto value =
              static_cast<Real>(x[static_cast<std::size_t>(offset_of(in, n, c, row * shape.width + column))]);
          const Real* weights = w.data() + (tap * channels + c) * shape.out_channels + group * v;
          for (std::int64_t lane = 0; lane < v; ++lane) y[static_cast<std::size_t>(at + lane)] += weights[lane] * value;
        }
      }
    }
    return y;
  }
};

double rms(const std::vector<double>& values) {
  double sum = 0;
  for (const double v : values) sum += v * v;
  return std::sqrt(sum / static_cast<double>(values.size()));
}
double rms_difference(const std::vector<float>& a, const std::vector<double>& b) {
  std::vector<double> d(b.size());
  for (std::size_t i = 0; i < b.size(); ++i) d[i] = static_cast<double>(a[i]) - b[i];
  return rms(d);
}

/// Odd sizes, all paddings (negative: a crop), unequal channels, images below a tile, many tiles, channels whose
/// weights exceed what is kept; v: the vector's width.
std::vector<WinogradShape> shapes(std::int64_t v) {
  return {{2, v, v, 8, 8, 8, 8, 1, 1},       {3, 2 * v, 3 * v, 7, 9, 7, 9, 1, 1},     {1, 3 * v, v, 5, 6, 3, 4, 0, 0},
          {2, v, 2 * v, 6, 11, 8, 13, 2, 2}, {1, v, 2 * v, 1, 1, 1, 1, 1, 1},         {2, v, v, 3, 2, 3, 2, 1, 1},
          {1, v, v, 9, 5, 10, 4, 2, 0},      {5, 2 * v, 2 * v, 23, 21, 23, 21, 1, 1}, {1, 96, 80, 14, 14, 14, 14, 1, 1},
          {1, 64, 96, 45, 42, 45, 42, 1, 1}, {1, 320, 16, 6, 6, 6, 6, 1, 1}};
}

TEST(Winograd, ErrsNoMoreThanSixteenTimesDirectSummation) {
  for (const Isa isa : isas()) {
    for (const WinogradShape& shape : shapes(width_of(isa))) {
      for (const bool turned : {false, true}) {
        const Case test(isa, shape);
        WinogradConvolution args = test.args();
        args.turned = turned;
        const auto want = test.direct<double>(turned);
        const double direct_error = rms_difference(test.direct<float>(turned), want);
        // a lone output may be luckier than its terms: then the rounding of one of size rms counts
        EXPECT_LE(rms_difference(test.run(args), want), 16 * std::max(direct_error, 0x1p-24 * rms(want)))
            << describe(isa, test.out, DType::f32) << " turned " << turned;
      }
    }
  }
}

TEST(Winograd, OutputsDoNotDependOnTheThreads) {
  for (const Isa isa : isas()) {
    for (const WinogradShape& shape : shapes(width_of(isa))) {
      const Case test(isa, shape);
      WinogradConvolution args = test.args();
      const auto want = test.run(args);
      for (const int threads : {2, 3, 7}) {
        args.threads = threads;
        const auto y = test.run(args);
        EXPECT_EQ(std::memcmp(y.data(), want.data(), y.size() * 4), 0) << describe(isa, test.out, DType::f32);
      }
    }
  }
}

TEST(Winograd, AppliesWhatStandsBeforeAndAfterIt) {
  for (const Isa isa : isas()) {
    for (const WinogradShape& shape : shapes(width_of(isa))) {
      const Case test(isa, shape);
      Case normalised = test;
      const auto count = static_cast<std::size_t>(test.in.elements());
      for (std::size_t i = 0; i < count; ++i) {
        const std::int64_t lanes = test.in.lanes, pixel = static_cast<std::int64_t>(i) / lanes;
        const auto c = static_cast<std::size_t>(pixel / test.in.pixels % test.in.groups * lanes +
                                                static_cast<std::int64_t>(i) % lanes);
        // in one rounding where the kernel has it: the others' product is rounded first
        const float value = isa == Isa::baseline ? test.x[i] * test.scale[c] + test.shift[c]
                                                 : std::fma(test.x[i], test.scale[c], test.shift[c]);
        normalised.x[i] = std::max(value, 0.0f);
      }
      auto want = normalised.run(normalised.args());
      for (std::size_t i = 0; i < want.size(); ++i) {
        const std::int64_t lanes = test.out.lanes, pixel = static_cast<std::int64_t>(i) / lanes;
        const auto o = static_cast<std::size_t>(pixel / test.out.pixels % test.out.groups * lanes +
                                                static_cast<std::int64_t>(i) % lanes);
        want[i] = std::max(want[i] + test.bias[o] + test.residual[i], 0.0f);
      }
      WinogradConvolution args = test.args();
      args.in_scale = test.scale.data();
      args.in_shift = test.shift.data();
      args.in_relu = true;
      args.bias = test.bias.data();
      args.residual = test.residual.data();
      args.relu = true;
      const auto y = test.run(args);
      for (std::size_t i = 0; i < y.size(); ++i) {
        ASSERT_EQ(y[i], want[i]) << describe(isa, test.out, DType::f32) << " at " << i;
      }
    }
  }
}

TEST(Winograd, WritesOverItsResidual) {
  for (const Isa isa : isas()) {
    const Case test(isa, shapes(width_of(isa))[1]);
    WinogradConvolution args = test.args();
    std::vector<double> sums(static_cast<std::size_t>(2 * test.shape.out_channels));
    args.sums = sums.data();
    args.residual = test.residual.data();
    const auto want = test.run(args);
    std::vector<float> y = test.residual;
    const Scratch scratch(winograd_scratch_bytes(test.shape, 1, isa));
    args.residual = args.y = y.data();
    args.scratch = scratch.memory.get();
    winograd_kernels(isa).convolve(args);
    EXPECT_EQ(std::memcmp(y.data(), want.data(), y.size() * 4), 0);
  }
}

TEST(Winograd, SumsWhatItWrites) {
  for (const Isa isa : isas()) {
    for (const WinogradShape& shape : shapes(width_of(isa))) {
      for (const int threads : {1, 3}) {
        // a mean far from 0: Σ y² alone would lose the variance
        const Case test(isa, shape);
        const std::vector<float> far(static_cast<std::size_t>(shape.out_channels), 1000.0f);
        std::vector<double> sums(2 * far.size());
        WinogradConvolution args = test.args();
        args.bias = far.data();
        args.sums = sums.data();
        args.threads = threads;
        const auto y = test.run(args);
        const auto n = static_cast<double>(shape.batch * test.out.pixels);
        for (std::int64_t o = 0; o < shape.out_channels; ++o) {
          double sum = 0, deviations = 0;
          const auto visit = [&](auto&& use) {
            for (std::int64_t i = 0; i < shape.batch * test.out.pixels; ++i) {
              use(static_cast<double>(
                  y[static_cast<std::size_t>(offset_of(test.out, i / test.out.pixels, o, i % test.out.pixels))]));
            }
          };
          visit([&](double value) { sum += value; });
          visit([&](double value) { deviations += std::pow(value - sum / n, 2); });
          const double s1 = sums[static_cast<std::size_t>(2 * o)], s2 = sums[static_cast<std::size_t>(2 * o + 1)];
          // float sums round by half a unit a term, relative to deviations from a centre that may be a few of them off;
          // y itself is a multiple of 2^-14 here
          const double deviation = std::sqrt(deviations / n) + 0x1p-14;
          ASSERT_NEAR(s1 / n, sum / n, 64 * 0x1p-24 * deviation + 1e-12 * std::fabs(sum / n));
          ASSERT_NEAR(s2 - s1 * s1 / n, deviations, 256 * 0x1p-24 * n * deviation * deviation + 1e-13 * std::fabs(s2))
              << describe(isa, test.out, DType::f32) << " channel " << o;
        }
      }
    }
  }
}

TEST(Winograd, KeepsNotANumber) {
  for (const Isa isa : isas()) {
    Case test(isa, shapes(width_of(isa))[0]);
    test.x[5 * static_cast<std::size_t>(test.in.lanes)] = std::nanf("");
    WinogradConvolution args = test.args();
    args.relu = true;
    const auto y = test.run(args);
    EXPECT_TRUE(std::any_of(y.begin(), y.end(), [](float value) { return value != value; }));
  }
}

}  // namespace
}  // namespace athanor::kernels::testing
