// The gradient of a convolution that begins with the backward pass of the norm before it.
#include "kernels/winograd_testing.h"

namespace athanor::kernels::testing::winograd {
namespace {

/// A norm whose output the convolution read; all random, the mask among them.
struct Norm {
  std::vector<float> x, output, mean, scale, shift;

  explicit Norm(const Case& test)
      : x(random_floats(test.out.elements(), 11)),
        output(random_floats(test.out.elements(), 12)),
        mean(random_floats(test.shape.out_channels, 13)),
        scale(random_floats(test.shape.out_channels, 14)),
        shift(random_floats(test.shape.out_channels, 15)) {}

  std::size_t channel(const Case& test, std::size_t at) const {
    const std::int64_t lanes = test.out.lanes, pixel = static_cast<std::int64_t>(at) / lanes;
    return static_cast<std::size_t>(pixel / test.out.pixels % test.out.groups * lanes +
                                    static_cast<std::int64_t>(at) % lanes);
  }
};

enum class Mask { none, recomputed, from_output };

/// The call's arrays of `norm` for a kind of mask.
WinogradNormGradient with_mask(const Norm& norm, Mask mask) {
  WinogradNormGradient call{.x = norm.x.data(), .mean = norm.mean.data()};
  if (mask == Mask::from_output) call.output = norm.output.data();
  if (mask == Mask::recomputed) {
    call.scale = norm.scale.data();
    call.shift = norm.shift.data();
  }
  return call;
}

TEST(WinogradNormGradient, MasksWhatTheConvolutionAloneWrites) {
  for (const Isa isa : isas()) {
    for (const WinogradShape& shape : shapes(width_of(isa))) {
      const Case test(isa, shape);
      const Norm norm(test);
      WinogradConvolution args = test.args();
      args.turned = true;
      const std::vector<float> unmasked = test.run(args);
      std::vector<double> sums(static_cast<std::size_t>(2 * shape.out_channels));
      args.sums = sums.data();
      for (const Mask mask : {Mask::none, Mask::recomputed, Mask::from_output}) {
        for (const bool has_residual : {false, true}) {
          std::vector<float> want = unmasked;
          for (std::size_t i = 0; i < want.size(); ++i) {
            const std::size_t c = norm.channel(test, i);
            if (has_residual) want[i] += test.residual[i];
            // in one rounding where the kernel has it
            const float output = mask == Mask::from_output ? norm.output[i]
                                 : isa == Isa::baseline    ? norm.x[i] * norm.scale[c] + norm.shift[c]
                                                           : std::fma(norm.x[i], norm.scale[c], norm.shift[c]);
            if (mask != Mask::none && output <= 0) want[i] = 0;
          }
          args.norm = with_mask(norm, mask);
          args.residual = has_residual ? test.residual.data() : nullptr;
          const std::vector<float> y = test.run(args);
          EXPECT_EQ(std::memcmp(y.data(), want.data(), y.size() * sizeof(float)), 0)
              << describe(isa, test.out, DType::f32) << " mask " << static_cast<int>(mask);
        }
      }
    }
  }
}

TEST(WinogradNormGradient, SumsWhatItWritesForTheNorm) {
  for (const Isa isa : isas()) {
    for (const WinogradShape& shape : shapes(width_of(isa))) {
      for (const int threads : {1, 3}) {
        const Case test(isa, shape);
        const Norm norm(test);
        std::vector<double> sums(static_cast<std::size_t>(2 * shape.out_channels)), want(sums.size()),
            terms(sums.size());
        WinogradConvolution args = test.args();
        args.threads = threads;
        args.sums = sums.data();
        args.norm = with_mask(norm, Mask::recomputed);
        const std::vector<float> y = test.run(args);
        for (std::size_t i = 0; i < y.size(); ++i) {
          const std::size_t c = norm.channel(test, i);
          const double centred = static_cast<double>(norm.x[i]) - norm.mean[c], value = y[i];
          want[2 * c] += value;
          terms[2 * c] += std::fabs(value);
          want[2 * c + 1] += value * centred;
          terms[2 * c + 1] += std::fabs(value * centred);
        }
        // float sums of a row of tiles round by half a unit a term, the products once more
        const double row = 16.0 * static_cast<double>((shape.out_width + 3) / 4);
        for (std::size_t i = 0; i < sums.size(); ++i) {
          ASSERT_NEAR(sums[i], want[i], (row + 2) * 0x1p-24 * terms[i] + 1e-12 * terms[i])
              << describe(isa, test.out, DType::f32) << " sum " << i;
        }
      }
    }
  }
}

TEST(WinogradNormGradient, WritesOverTheGradientThatItAdds) {
  for (const Isa isa : isas()) {
    const Case test(isa, shapes(width_of(isa))[1]);
    const Norm norm(test);
    std::vector<double> sums(static_cast<std::size_t>(2 * test.shape.out_channels));
    WinogradConvolution args = test.args();
    args.sums = sums.data();
    args.norm = with_mask(norm, Mask::from_output);
    args.residual = test.residual.data();
    const auto want = test.run(args);
    std::vector<float> y = test.residual;
    const Scratch scratch(winograd_scratch_bytes(test.shape, 1, isa));
    args.residual = args.y = y.data();
    args.scratch = scratch.memory.get();
    winograd_kernels(isa).convolve(args);
    EXPECT_EQ(std::memcmp(y.data(), want.data(), y.size() * sizeof(float)), 0);
  }
}

}  // namespace
}  // namespace athanor::kernels::testing::winograd
