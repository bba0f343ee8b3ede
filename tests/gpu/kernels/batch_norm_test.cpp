// Batch norm's kernels against the formulas in double.
#include "kernels/cuda/batch_norm.h"

#include "gpu/kernels/guarded.h"

namespace athanor::kernels::cuda {

void launch(const BatchNorm&, LaunchStream);
void launch(const BatchNormInference&, LaunchStream);
void launch(const BatchNormBackward&, LaunchStream);
void launch(const BatchNormMoments&, LaunchStream);
void launch(const BatchNormCombine&, LaunchStream);
void launch(const BatchNormSums&, LaunchStream);
void launch(const BatchNormInputGradient&, LaunchStream);

namespace testing::batch_norm {
namespace {

struct Size {
  std::int64_t rows, channels;
};
/// One row, one channel, one thread a row, several slices, several groups of slices, channels on and off multiples of
/// 4 and 8, several tiles.
const std::vector<Size> kSizes{{1, 8},    {37, 5},   {130, 64}, {600, 24}, {9000, 16},
                               {50, 300}, {5000, 8}, {33, 1},   {70, 520}, {2100, 3}};
/// More rows than the slices of a pass can have at once.
constexpr Size kLarge{140'000, 8};

constexpr double kEps = 1e-5;

std::vector<double> column(const Guarded& x, Size size, std::int64_t c) {
  std::vector<double> values;
  for (std::int64_t r = 0; r < size.rows; ++r) values.push_back(x[r * size.channels + c]);
  return values;
}

struct Statistics {
  double mean, var;
};
Statistics statistics_of(const std::vector<double>& values) {
  double mean = 0, var = 0;
  for (const double v : values) mean += v;
  mean /= static_cast<double>(values.size());
  for (const double v : values) var += (v - mean) * (v - mean);
  return {mean, var / static_cast<double>(values.size())};
}

std::string describe(DType dtype, Size size) {
  return std::string(name_of(dtype)) + " [" + std::to_string(size.rows) + "," + std::to_string(size.channels) + "]";
}

struct Problem {
  Size size;
  DType dtype;
  Guarded x, residual, dy, dy2, gamma, beta, scratch;

  Problem(Size s, DType type, double mean = 0.3, bool misaligned = false)
      : size(s),
        dtype(type),
        x(random_guarded(type, s.rows * s.channels, 1, mean, 1, misaligned)),
        residual(random_guarded(type, s.rows * s.channels, 2)),
        dy(random_guarded(type, s.rows * s.channels, 3)),
        dy2(random_guarded(type, s.rows * s.channels, 4)),
        gamma(random_guarded(DType::f32, s.channels, 5, 1, 0.3)),
        beta(random_guarded(DType::f32, s.channels, 6)),
        scratch(DType::f32, static_cast<std::int64_t>(batch_norm_scratch_bytes(type, s.rows, s.channels) / 4)) {}

  std::int64_t elements() const { return size.rows * size.channels; }
  /// What a value of magnitude about `scale` may be off by.
  double tolerance(double scale) const { return scale * (rounding_of(dtype) * 1.01 + 2e-6); }
};

struct Outputs {
  Guarded y, mean, inv_std, batch_mean, batch_var;
  explicit Outputs(const Problem& p)
      : y(p.dtype, p.elements()),
        mean(DType::f32, p.size.channels),
        inv_std(DType::f32, p.size.channels),
        batch_mean(DType::f32, p.size.channels),
        batch_var(DType::f32, p.size.channels) {}
};

BatchNorm forward_of(Problem& p, Outputs& out, bool relu, bool residual) {
  return {.dtype = p.dtype,
          .rows = p.size.rows,
          .channels = p.size.channels,
          .x = p.x.data(),
          .residual = residual ? p.residual.data() : nullptr,
          .gamma = p.gamma.as<float>(),
          .beta = p.beta.as<float>(),
          .y = out.y.data(),
          .mean = out.mean.as<float>(),
          .inv_std = out.inv_std.as<float>(),
          .batch_mean = out.batch_mean.as<float>(),
          .batch_var = out.batch_var.as<float>(),
          .eps = static_cast<float>(kEps),
          .relu = relu,
          .scratch = p.scratch.data()};
}

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
  Problem p(kLarge, DType::bf16);
  Outputs out(p);
  launch(forward_of(p, out, true, false), nullptr);
  check_forward(p, out, true, false);
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

TEST(BatchNormKernel, TakesSumsThatAConvolutionHasMade) {
  for (const DType dtype : kFloatTypes) {
    Problem p({600, 24}, dtype, 0.1);
    Guarded sums(DType::f32, 24), squares(DType::f32, 24);
    for (std::int64_t c = 0; c < 24; ++c) {
      double sum = 0, square = 0;
      for (const double v : column(p.x, p.size, c)) sum += v, square += v * v;
      sums.set(c, sum);
      squares.set(c, square);
    }
    Outputs out(p);
    BatchNorm args = forward_of(p, out, true, true);
    args.sums = sums.as<float>();
    args.squares = squares.as<float>();
    launch(args, nullptr);
    check_forward(p, out, true, true, 3);
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

enum class MaskFrom { nothing, y, x };

struct Gradients {
  Guarded dx, dresidual, dgamma, dbeta;
  explicit Gradients(const Problem& p)
      : dx(p.dtype, p.elements()),
        dresidual(p.dtype, p.elements()),
        dgamma(DType::f32, p.size.channels),
        dbeta(DType::f32, p.size.channels) {}
};

BatchNormBackward backward_of(Problem& p, Outputs& saved, Gradients& out, MaskFrom mask, bool has_residual) {
  return {.dtype = p.dtype,
          .rows = p.size.rows,
          .channels = p.size.channels,
          .dy = p.dy.data(),
          .dy2 = has_residual ? p.dy2.data() : nullptr,
          .x = p.x.data(),
          .y = mask == MaskFrom::y ? saved.y.data() : nullptr,
          .gamma = p.gamma.as<float>(),
          .beta = p.beta.as<float>(),
          .mean = saved.mean.as<float>(),
          .inv_std = saved.inv_std.as<float>(),
          .dx = out.dx.data(),
          .dresidual = has_residual ? out.dresidual.data() : nullptr,
          .dgamma = out.dgamma.as<float>(),
          .dbeta = out.dbeta.as<float>(),
          .relu = mask != MaskFrom::nothing,
          .scratch = p.scratch.data()};
}

void check_backward(const Problem& p, const Outputs& saved, const Gradients& out, MaskFrom mask, bool has_residual) {
  const std::string what = describe(p.dtype, p.size);
  const auto n = static_cast<double>(p.size.rows);
  for (std::int64_t c = 0; c < p.size.channels; ++c) {
    double sum = 0, products = 0, magnitude = 0;
    std::vector<double> dz;
    for (std::int64_t r = 0; r < p.size.rows; ++r) {
      const std::int64_t at = r * p.size.channels + c;
      double value = p.dy[at] + (has_residual ? p.dy2[at] : 0.0);
      if (mask != MaskFrom::nothing && saved.y[at] <= 0) value = 0;
      dz.push_back(value);
      const double x_hat = (p.x[at] - saved.mean[c]) * saved.inv_std[c];
      sum += value;
      products += value * x_hat;
      magnitude += std::fabs(value) * (1 + std::fabs(x_hat));
    }
    ASSERT_NEAR(out.dbeta[c], sum, 1e-6 * magnitude + 1e-6) << what;
    ASSERT_NEAR(out.dgamma[c], products, 1e-6 * magnitude + 1e-6) << what;
    for (std::int64_t r = 0; r < p.size.rows; ++r) {
      const std::int64_t at = r * p.size.channels + c;
      const double value = dz[static_cast<std::size_t>(r)], factor = p.gamma[c] * saved.inv_std[c];
      const double x_hat = (p.x[at] - saved.mean[c]) * saved.inv_std[c];
      const double dx = factor * (value - sum / n - x_hat * products / n);
      // With a residual the second pass reads dz as it was rounded.
      const double scale =
          std::fabs(factor) * (std::fabs(value) + std::fabs(sum / n) + std::fabs(x_hat * products / n));
      ASSERT_NEAR(out.dx[at], dx, p.tolerance(2 * scale) + p.tolerance(std::fabs(dx)) + 1e-6) << what << " at " << at;
      if (has_residual) {
        ASSERT_NEAR(out.dresidual[at], value, p.tolerance(std::fabs(value))) << what;
      }
    }
  }
}

TEST(BatchNormBackwardKernel, MatchesTheFormula) {
  for (const DType dtype : kFloatTypes) {
    for (const Size size : kSizes) {
      for (const MaskFrom mask : {MaskFrom::nothing, MaskFrom::y, MaskFrom::x}) {
        const bool has_residual = mask == MaskFrom::y;
        Problem p(size, dtype);
        Outputs saved(p);
        launch(forward_of(p, saved, mask != MaskFrom::nothing, has_residual), nullptr);
        Gradients out(p), again(p);
        launch(backward_of(p, saved, out, mask, has_residual), nullptr);
        check_backward(p, saved, out, mask, has_residual);
        host::set_order(host::Order::descending);
        launch(backward_of(p, saved, again, mask, has_residual), nullptr);
        host::set_order(host::Order::ascending);
        EXPECT_TRUE(out.dx.same_bits(again.dx) && out.dgamma.same_bits(again.dgamma)) << describe(dtype, size);
      }
    }
  }
}

TEST(BatchNormBackwardKernel, InPlaceGivesTheSameBits) {
  for (const DType dtype : kFloatTypes) {
    Problem p({130, 64}, dtype);
    Outputs saved(p);
    launch(forward_of(p, saved, true, true), nullptr);
    Gradients apart(p), within(p);
    launch(backward_of(p, saved, apart, MaskFrom::y, true), nullptr);
    BatchNormBackward args = backward_of(p, saved, within, MaskFrom::y, true);
    args.dx = p.dy.data();
    args.dresidual = p.dy2.data();
    launch(args, nullptr);
    EXPECT_TRUE(p.dy.same_bits(apart.dx) && p.dy2.same_bits(apart.dresidual));
  }
}

/// The smallest positive sums become 0 in a 16-bit output: what is recomputed must say so too.
TEST(BatchNormBackwardKernel, TheRecomputedMaskIsThatOfTheRoundedOutput) {
  for (const DType dtype : kFloatTypes) {
    const Size size{64, 8};
    Problem p(size, dtype);
    for (std::int64_t i = 0; i < p.elements(); ++i) p.x.set(i, i / 8 % 2 == 0 ? 1 : -1);
    for (std::int64_t c = 0; c < 8; ++c) {
      p.gamma.set(c, std::ldexp(1.0, dtype == DType::f16 ? -22 - static_cast<int>(c) : -128 - static_cast<int>(c)));
      p.beta.set(c, 0);
    }
    Outputs saved(p);
    launch(forward_of(p, saved, true, false), nullptr);
    Gradients from_x(p), from_y(p);
    launch(backward_of(p, saved, from_x, MaskFrom::x, false), nullptr);
    launch(backward_of(p, saved, from_y, MaskFrom::y, false), nullptr);
    EXPECT_TRUE(from_x.dbeta.same_bits(from_y.dbeta)) << name_of(dtype);
  }
}

TEST(BatchNormSynchronizedKernels, ShardsTogetherAreOneBatch) {
  for (const DType dtype : kFloatTypes) {
    constexpr std::int64_t kShards = 3, kChannels = 24;
    const Size shard{210, kChannels}, all{shard.rows * kShards, kChannels};
    Problem p(all, dtype);
    Outputs whole(p);
    launch(forward_of(p, whole, true, false), nullptr);
    Gradients gradients(p);
    launch(backward_of(p, whole, gradients, MaskFrom::x, false), nullptr);

    const auto part = [&](Guarded& values, std::int64_t s) {
      return values.as<char>() + static_cast<std::size_t>(s * shard.rows * kChannels) * size_of(dtype);
    };
    Guarded moments(DType::f32, kShards * 2 * kChannels);
    for (std::int64_t s = 0; s < kShards; ++s) {
      launch(BatchNormMoments{.dtype = dtype,
                              .rows = shard.rows,
                              .channels = kChannels,
                              .x = part(p.x, s),
                              .moments = moments.as<float>() + s * 2 * kChannels,
                              .scratch = p.scratch.data()},
             nullptr);
    }
    Outputs out(p);
    launch(BatchNormCombine{.moments = moments.as<float>(),
                            .shards = kShards,
                            .channels = kChannels,
                            .count = static_cast<double>(all.rows),
                            .eps = static_cast<float>(kEps),
                            .mean = out.mean.as<float>(),
                            .inv_std = out.inv_std.as<float>(),
                            .batch_mean = out.batch_mean.as<float>(),
                            .batch_var = out.batch_var.as<float>()},
           nullptr);
    expect_near(out.mean, whole.mean.values(), 1e-7, 1e-6, "mean");
    expect_near(out.inv_std, whole.inv_std.values(), 0, 1e-6, "inv_std");
    expect_near(out.batch_var, whole.batch_var.values(), 0, 1e-6, "batch_var");

    Guarded sums(DType::f32, kShards * 2 * kChannels), dx(dtype, p.elements());
    Gradients unused(p);
    const auto gradient_of_shard = [&](std::int64_t s) {
      BatchNormBackward args = backward_of(p, out, unused, MaskFrom::x, false);
      args.rows = shard.rows;
      args.dy = part(p.dy, s);
      args.x = part(p.x, s);
      args.dx = part(dx, s);
      return args;
    };
    for (std::int64_t s = 0; s < kShards; ++s)
      launch(BatchNormSums{gradient_of_shard(s), sums.as<float>() + s * 2 * kChannels}, nullptr);
    for (std::int64_t s = 0; s < kShards; ++s)
      launch(BatchNormInputGradient{gradient_of_shard(s), sums.as<float>(), kShards}, nullptr);
    expect_near(dx, gradients.dx.values(), p.tolerance(1) + 1e-5, 2 * rounding_of(dtype), "dx");
  }
}

}  // namespace
}  // namespace testing::batch_norm
}  // namespace athanor::kernels::cuda
