// Batch norm's backward kernels, and those of shards that share statistics, against the formulas in double.
#include "gpu/kernels/batch_norm_problem.h"

namespace athanor::kernels::cuda::testing::batch_norm {
namespace {

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

TEST(BatchNormBackwardKernel, LargeBatches) {
  for (const Size size : kLargeSizes) {
    for (const bool has_residual : {false, true}) {
      const MaskFrom mask = has_residual ? MaskFrom::y : MaskFrom::x;
      Problem p(size, DType::bf16);
      Outputs saved(p);
      launch(forward_of(p, saved, true, has_residual), nullptr);
      Gradients out(p);
      launch(backward_of(p, saved, out, mask, has_residual), nullptr);
      check_backward(p, saved, out, mask, has_residual);
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

/// A bit an element instead of the output: the same bits of every result.
TEST(BatchNormBackwardKernel, TheMaskTellsWhatTheOutputTells) {
  for (const DType dtype : {DType::bf16, DType::f16}) {
    for (const Size size : {Size{130, 64}, {600, 24}, {5000, 8}, {70, 520}}) {
      Problem p(size, dtype);
      p.x.set(3, std::nan(""));
      Outputs saved(p), with_mask(p);
      std::vector<std::uint8_t> mask(static_cast<std::size_t>(p.elements() / 8), 0x55);
      launch(forward_of(p, saved, true, true), nullptr);
      BatchNorm forward = forward_of(p, with_mask, true, true);
      forward.mask = mask.data();
      launch(forward, nullptr);
      ASSERT_TRUE(with_mask.y.same_bits(saved.y));
      Gradients from_y(p), from_mask(p);
      launch(backward_of(p, saved, from_y, MaskFrom::y, true), nullptr);
      BatchNormBackward backward = backward_of(p, saved, from_mask, MaskFrom::y, true);
      backward.y = nullptr;
      backward.mask = mask.data();
      launch(backward, nullptr);
      EXPECT_TRUE(from_mask.dx.same_bits(from_y.dx) && from_mask.dresidual.same_bits(from_y.dresidual) &&
                  from_mask.dgamma.same_bits(from_y.dgamma) && from_mask.dbeta.same_bits(from_y.dbeta))
          << describe(dtype, size);
    }
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
}  // namespace athanor::kernels::cuda::testing::batch_norm
