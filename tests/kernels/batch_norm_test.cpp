#include "kernels/batch_norm_testing.h"

namespace athanor::kernels::testing::batch_norm {
namespace {

TEST(BatchNorm, MatchesDoubleInEveryLayout) {
  for (const Isa isa : isas()) {
    for (const Case& shape : kCases) {
      for (const ChannelView& view : layouts_of(shape.batch, shape.channels, shape.pixels)) {
        for (const DType dtype : {DType::f32, DType::bf16}) {
          for (const Options& options : kOptions) {
            SCOPED_TRACE(describe(isa, view, dtype) + " relu " + std::to_string(options.relu) + " residual " +
                         std::to_string(options.residual) + " threads " + std::to_string(options.threads));
            Problem run(view, dtype, shape.channels, options);
            run.forward(isa);
            check_forward(run);
            batch_norm_kernels(isa).backward(run.backward_args());
            check_backward(run);
            if (HasFatalFailure()) return;
          }
        }
      }
    }
  }
}

/// What a batch norm does, in parts, for `shards` shards one after another.

TEST(BatchNorm, RecomputedMaskEqualsTheMaskOfTheOutput) {
  for (const Isa isa : isas()) {
    for (const ChannelView& view : layouts_of(3, 19, 111)) {
      Problem run(view, DType::f32, 19, {true, false, 1, 3});
      run.forward(isa);
      batch_norm_kernels(isa).backward(run.backward_args());
      Problem from_y = run;
      BatchNormBackward args = from_y.backward_args();
      args.y = from_y.y.data();
      batch_norm_kernels(isa).backward(args);
      EXPECT_EQ(run.dgamma, from_y.dgamma) << describe(isa, view, DType::f32);
      for (std::int64_t i = 0; i < run.dx.count(); ++i) ASSERT_EQ(run.dx[i], from_y.dx[i]);
    }
  }
}

TEST(BatchNorm, GradientMayOverwriteTheIncomingOne) {
  for (const Isa isa : isas()) {
    for (const ChannelView& view : layouts_of(2, 21, 50)) {
      Problem apart(view, DType::f32, 21, {true, false, 1, 0});
      apart.forward(isa);
      Problem aliased = apart;
      batch_norm_kernels(isa).backward(apart.backward_args());
      BatchNormBackward args = aliased.backward_args();
      args.dx = aliased.dy.data();
      batch_norm_kernels(isa).backward(args);
      for (std::int64_t i = 0; i < apart.dx.count(); ++i) ASSERT_EQ(apart.dx[i], aliased.dy[i]);
    }
  }
}

TEST(BatchNorm, VarianceSurvivesAMeanFarFromZeroAndAnOutlierInFront) {
  for (const Isa isa : isas()) {
    for (const ChannelView& view : layouts_of(4, 16, 3000)) {
      Problem run(view, DType::f32, 16, {false, false, 1, 0});
      for (std::int64_t n = 0; n < 4; ++n) {
        for (std::int64_t c = 0; c < 16; ++c) {
          for (std::int64_t p = 0; p < 3000; ++p) {
            const std::int64_t at = offset_of(view, n, c, p);
            run.x.set(at, n == 0 && p == 0 ? -5000.0 : 1000.0 + run.x[at]);
          }
        }
      }
      run.forward(isa);
      check_forward(run);
    }
  }
}

// Given sums have the bound of own ones: near 0 they tell enough (kOptions' means are 0), far from it they are not
// used.
TEST(BatchNorm, TakesTheSumsOfWhoeverWroteItsInput) {
  for (const Isa isa : isas()) {
    for (const Case& shape : kCases) {
      for (const ChannelView& view : layouts_of(shape.batch, shape.channels, shape.pixels)) {
        for (const Options& options : {kOptions[0], kOptions[1], kOptions[3], Options{true, true, 1, 2}}) {
          SCOPED_TRACE(describe(isa, view, DType::f32));
          Problem run(view, DType::f32, shape.channels, options);
          run.give_sums();
          run.forward(isa);
          check_forward(run);
          if (HasFatalFailure()) return;
        }
      }
    }
  }
}

TEST(BatchNorm, DoesNotReadItsInputForStatisticsThatAreGiven) {
  for (const Isa isa : isas()) {
    for (const ChannelView& view : layouts_of(2, 16, 40)) {
      Problem run(view, DType::f32, 16, {false, false, 1, 0});
      run.sum.assign(16, 80.0f);       // mean 1
      run.squares.assign(16, 400.0f);  // variance 4
      run.forward(isa);
      for (std::size_t c = 0; c < 16; ++c) {
        EXPECT_EQ(run.mean[c], 1.0f);
        EXPECT_EQ(run.batch_var[c], static_cast<float>(4.0 * (80.0 / 79.0)));
      }
    }
  }
}

// Where dy comes masked, with its sums, the rest is one pass: its bits are those of sums that round to the same floats.
TEST(BatchNorm, GradientTakesTheSumsOfWhoeverWroteIt) {
  for (const Isa isa : isas()) {
    for (const ChannelView& view : layouts_of(3, 20, 63)) {
      SCOPED_TRACE(describe(isa, view, DType::f32));
      Problem run(view, DType::f32, 20, {true, true, 2, 0});
      run.forward(isa);
      BatchNormBackward args = run.backward_args();
      batch_norm_kernels(isa).backward(args);
      const std::vector<float> dgamma = run.dgamma, dbeta = run.dbeta;
      std::vector<double> dx;
      for (std::int64_t i = 0; i < view.elements(); ++i) dx.push_back(run.dx[i]);
      std::vector<float> products(dgamma.size());
      for (std::size_t c = 0; c < products.size(); ++c) products[c] = dgamma[c] / run.inv_std[c];
      args.dy = run.dresidual.data();
      args.dy2 = args.y = args.dresidual = nullptr;
      args.relu = false;
      args.sum = dbeta.data();
      args.products = products.data();
      args.dgamma = run.dgamma.data();
      std::vector<float> dbeta_again(dbeta.size());
      args.dbeta = dbeta_again.data();
      batch_norm_kernels(isa).backward(args);
      EXPECT_EQ(dbeta_again, dbeta);
      for (std::size_t c = 0; c < products.size(); ++c) {
        EXPECT_NEAR(run.dgamma[c], dgamma[c], 2 * 0x1p-24 * std::fabs(dgamma[c]));  // a division and a product
      }
      // dx is a sum of three terms of size 1, whose factors have the sums' rounding
      for (std::int64_t i = 0; i < view.elements(); ++i) {
        EXPECT_NEAR(run.dx[i], dx[static_cast<std::size_t>(i)], 16 * 0x1p-24 * (1 + std::fabs(run.dx[i])));
      }
    }
  }
}

TEST(BatchNorm, InferenceUsesRunningStatistics) {
  const auto mean = random_floats(20, 1), var = random_floats(20, 2, 4, 0.5);
  for (const Isa isa : isas()) {
    for (const ChannelView& view : layouts_of(2, 20, 37)) {
      Problem run(view, DType::f32, 20, {true, true, 1, 0});
      batch_norm_kernels(isa).inference({.view = view,
                                         .channels = 20,
                                         .x = run.x.data(),
                                         .residual = run.residual.data(),
                                         .gamma = run.gamma.data(),
                                         .beta = run.beta.data(),
                                         .running_mean = mean.data(),
                                         .running_var = var.data(),
                                         .y = run.y.data(),
                                         .relu = true,
                                         .scratch = run.scratch.data()});
      for (std::int64_t n = 0; n < 2; ++n) {
        for (std::int64_t c = 0; c < 20; ++c) {
          const auto i = static_cast<std::size_t>(c);
          for (std::int64_t p = 0; p < 37; ++p) {
            const std::int64_t at = offset_of(view, n, c, p);
            const double v = (run.x[at] - mean[i]) / std::sqrt(var[i] + 1e-5) * run.gamma[i] + run.beta[i];
            ASSERT_NEAR(run.y[at], std::max(0.0, v + run.residual[at]), 8 * 0x1p-24 * 8);
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace athanor::kernels::testing::batch_norm
