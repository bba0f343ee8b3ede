// Batch norm's forward kernels against the formulas in double.
#include "gpu/kernels/batch_norm_problem.h"

namespace athanor::kernels::cuda::testing::batch_norm {
namespace {

void check_forward(const Problem& p, const Outputs& out, bool relu, bool residual, double accuracy = 1) {
  const std::string what = describe(p.dtype, p.size);
  const auto n = static_cast<double>(p.size.rows);
  for (std::int64_t c = 0; c < p.size.channels; ++c) {
    const Statistics right = statistics_of(column(p.x, p.size, c));
    const double inv_std = 1 / std::sqrt(right.var + kEps);
    ASSERT_NEAR(out.mean[c], right.mean, accuracy * 1e-7 * (1 + std::fabs(right.mean))) << what;
    ASSERT_NEAR(out.batch_mean[c], right.mean, accuracy * 1e-7 * (1 + std::fabs(right.mean))) << what;
    ASSERT_NEAR(out.inv_std[c], inv_std, accuracy * 1e-6 * inv_std) << what;
    ASSERT_NEAR(out.batch_var[c], n > 1 ? right.var * n / (n - 1) : 0.0, accuracy * 1e-6 * (1e-3 + right.var)) << what;
    for (std::int64_t r = 0; r < p.size.rows; ++r) {
      const std::int64_t at = r * p.size.channels + c;
      double y = (p.x[at] - right.mean) * inv_std * p.gamma[c] + p.beta[c] + (residual ? p.residual[at] : 0.0);
      if (relu && y < 0) y = 0;
      // A mean of float32 has an error of its own, which x far from 0 shows.
      const double shift = std::fabs(right.mean * inv_std * p.gamma[c]);
      ASSERT_NEAR(out.y[at], y, p.tolerance(1 + std::fabs(y)) + accuracy * 4e-7 * shift) << what << " at " << at;
    }
  }
}

TEST(BatchNormKernel, MatchesTheFormula) {
  for (const DType dtype : kFloatTypes) {
    for (const Size size : kSizes) {
      for (const bool fused : {false, true}) {
        Problem p(size, dtype);
        Outputs out(p), again(p);
        launch(forward_of(p, out, fused, fused), nullptr);
        check_forward(p, out, fused, fused);
        host::set_order(host::Order::descending);
        launch(forward_of(p, again, fused, fused), nullptr);
        host::set_order(host::Order::ascending);
        EXPECT_TRUE(out.y.same_bits(again.y) && out.batch_var.same_bits(again.batch_var)) << describe(dtype, size);
      }
    }
  }
}

TEST(BatchNormKernel, LargeBatches) {
  for (const Size size : kLargeSizes) {
    Problem p(size, DType::bf16);
    Outputs out(p);
    launch(forward_of(p, out, true, false), nullptr);
    check_forward(p, out, true, false);
  }
}

TEST(BatchNormKernel, MeansFarFromZeroCostNoDigits) {
  for (const Size size : {Size{600, 24}, Size{2100, 3}}) {
    Problem p(size, DType::f32, 3000);
    // The first row is not like the others: a single centre taken from it would be far from the mean.
    for (std::int64_t c = 0; c < size.channels; ++c) p.x.set(c, 0);
    for (std::int64_t c = 0; c < size.channels; ++c) p.x.set(size.channels + c, 3000);
    Outputs out(p);
    launch(forward_of(p, out, false, false), nullptr);
    check_forward(p, out, false, false, 3);
  }
}

TEST(BatchNormKernel, AnyAlignmentAndInPlace) {
  for (const DType dtype : kFloatTypes) {
    Problem p({130, 64}, dtype, 0.3, true);
    Outputs out(p);
    launch(forward_of(p, out, true, true), nullptr);
    check_forward(p, out, true, true);
    BatchNorm in_place = forward_of(p, out, true, true);
    Guarded y(dtype, p.x.values(), true);
    in_place.x = in_place.y = y.data();
    launch(in_place, nullptr);
    EXPECT_EQ(y.values(), out.y.values());
  }
}

TEST(BatchNormKernel, NotANumberStaysInItsChannel) {
  Problem p({130, 16}, DType::bf16);
  p.x.set(16 * 7 + 3, NAN);
  Outputs out(p);
  launch(forward_of(p, out, true, false), nullptr);
  for (std::int64_t i = 0; i < p.elements(); ++i) EXPECT_EQ(std::isnan(out.y[i]), i % 16 == 3);
  EXPECT_TRUE(std::isnan(out.batch_var[3]) && !std::isnan(out.batch_var[4]));
}

/// The forward call with Σ x and Σ x² in float32.
struct GivenSums {
  Guarded sums, squares;
  explicit GivenSums(const Problem& p) : sums(DType::f32, p.size.channels), squares(DType::f32, p.size.channels) {
    for (std::int64_t c = 0; c < p.size.channels; ++c) {
      double sum = 0, square = 0;
      for (const double v : column(p.x, p.size, c)) sum += v, square += v * v;
      sums.set(c, sum);
      squares.set(c, square);
    }
  }
  BatchNorm forward_of(Problem& p, Outputs& out, bool relu, bool residual) {
    BatchNorm args = batch_norm::forward_of(p, out, relu, residual);
    args.sums = sums.as<float>();
    args.squares = squares.as<float>();
    args.scratch = nullptr;
    return args;
  }
};

TEST(BatchNormKernel, TakesSumsThatAConvolutionHasMade) {
  for (const DType dtype : kFloatTypes) {
    for (const Size size : kSizes) {
      if (size.rows < 30) continue;  // a variance of 0 is the next test's
      for (const bool fused : {false, true}) {
        Problem p(size, dtype, 0.1);
        GivenSums given(p);
        Outputs out(p);
        launch(given.forward_of(p, out, fused, fused), nullptr);
        check_forward(p, out, fused, fused, 5);
      }
    }
  }
}

TEST(BatchNormKernel, GivenSumsNeverMakeAVarianceNegative) {
  Problem p({600, 24}, DType::f16);
  for (std::int64_t i = 0; i < p.elements(); ++i) p.x.set(i, 3.0 + 0.125 * static_cast<double>(i % 24));
  GivenSums given(p);
  for (std::int64_t c = 0; c < 24; ++c) given.squares.set(c, given.squares[c] * (1 - 1e-6));
  Outputs out(p);
  launch(given.forward_of(p, out, false, false), nullptr);
  for (std::int64_t c = 0; c < 24; ++c) {
    EXPECT_EQ(out.batch_var[c], 0);
    EXPECT_NEAR(out.inv_std[c], 1 / std::sqrt(kEps), 1e-3);
  }
}

TEST(BatchNormKernel, InferenceWithVarianceOrItsRoot) {
  for (const DType dtype : kFloatTypes) {
    for (const Size size : {Size{37, 5}, Size{130, 64}}) {
      Problem p(size, dtype);
      Guarded mean = random_guarded(DType::f32, size.channels, 7), var(DType::f32, size.channels),
              inv_std(DType::f32, size.channels), y(dtype, p.elements());
      std::vector<double> want(static_cast<std::size_t>(p.elements()));
      for (std::int64_t c = 0; c < size.channels; ++c) {
        var.set(c, 0.5 + 0.1 * static_cast<double>(c % 7));
        inv_std.set(c, 1 / std::sqrt(var[c] + kEps));
      }
      for (std::int64_t i = 0; i < p.elements(); ++i) {
        const std::int64_t c = i % size.channels;
        const double v = (p.x[i] - mean[c]) * inv_std[c] * p.gamma[c] + p.beta[c] + p.residual[i];
        want[static_cast<std::size_t>(i)] = v > 0 ? v : 0;
      }
      for (const bool given_root : {false, true}) {
        launch(BatchNormInference{.dtype = dtype,
                                  .rows = size.rows,
                                  .channels = size.channels,
                                  .x = p.x.data(),
                                  .residual = p.residual.data(),
                                  .gamma = p.gamma.as<float>(),
                                  .beta = p.beta.as<float>(),
                                  .mean = mean.as<float>(),
                                  .var = given_root ? nullptr : var.as<float>(),
                                  .inv_std = given_root ? inv_std.as<float>() : nullptr,
                                  .y = y.data(),
                                  .eps = static_cast<float>(kEps),
                                  .relu = true,
                                  .scratch = p.scratch.data()},
               nullptr);
        expect_near(y, want, p.tolerance(4), p.tolerance(1), describe(dtype, size));
      }
    }
  }
}

}  // namespace
}  // namespace athanor::kernels::cuda::testing::batch_norm
