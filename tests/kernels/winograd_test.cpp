#include "kernels/winograd_testing.h"

namespace athanor::kernels::testing::winograd {
namespace {

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
}  // namespace athanor::kernels::testing::winograd
