#include "kernels/batch_norm.h"

#include "kernels/batch_norm_synchronized.h"
#include "kernels/kernel_testing.h"

namespace athanor::kernels::testing {
namespace {

struct Case {
  std::int64_t batch, channels, pixels;
};
constexpr Case kCases[] = {{1, 1, 1}, {2, 3, 5}, {3, 16, 49}, {5, 20, 63}, {4, 67, 30}, {2, 130, 17}, {1, 8, 9000}};

struct Options {
  bool relu, residual;
  int threads;
  double mean;
};
constexpr Options kOptions[] = {{false, false, 1, 0}, {true, false, 2, 0}, {true, true, 1, 0}, {false, false, 3, 100}};

/// One batch norm with all of its arrays, run forward and then backward.
struct Problem {
  ChannelView view;
  DType dtype;
  std::int64_t channels;
  Options options;
  Values x, residual, y, dy, dy2, dx, dresidual;
  std::vector<float> gamma, beta, mean, inv_std, batch_mean, batch_var, dgamma, dbeta;
  std::vector<float> sum, squares;  ///< given to forward where they are not empty
  std::vector<double> scratch;

  Problem(const ChannelView& v, DType d, std::int64_t c, Options o)
      : view(v),
        dtype(d),
        channels(c),
        options(o),
        x(d, v.elements()),
        residual(d, v.elements()),
        y(d, v.elements()),
        dy(d, v.elements()),
        dy2(d, v.elements()),
        dx(d, v.elements()),
        dresidual(d, v.elements()),
        gamma(random_floats(c, 5, 1, 0.3)),
        beta(random_floats(c, 6)),
        mean(gamma.size()),
        inv_std(gamma.size()),
        batch_mean(gamma.size()),
        batch_var(gamma.size()),
        dgamma(gamma.size()),
        dbeta(gamma.size()),
        scratch(batch_norm_scratch_bytes(v, o.threads) / sizeof(double) + 1) {
    RandomStream stream(17, Purpose::test, 0, static_cast<std::uint64_t>(v.elements()));
    for (std::int64_t n = 0; n < v.batch; ++n) {
      for (std::int64_t ch = 0; ch < c; ++ch) {
        for (std::int64_t p = 0; p < v.pixels; ++p) {
          const std::int64_t at = offset_of(v, n, ch, p);
          x.set(at, o.mean * static_cast<double>(ch % 3) + stream.normal());
          residual.set(at, stream.normal());
          dy.set(at, stream.normal());
          dy2.set(at, stream.normal());
        }
      }
    }
  }

  void forward(Isa isa) {
    batch_norm_kernels(isa).forward({.view = view,
                                     .dtype = dtype,
                                     .channels = channels,
                                     .x = x.data(),
                                     .residual = options.residual ? residual.data() : nullptr,
                                     .gamma = gamma.data(),
                                     .beta = beta.data(),
                                     .sum = sum.empty() ? nullptr : sum.data(),
                                     .squares = squares.empty() ? nullptr : squares.data(),
                                     .y = y.data(),
                                     .mean = mean.data(),
                                     .inv_std = inv_std.data(),
                                     .batch_mean = batch_mean.data(),
                                     .batch_var = batch_var.data(),
                                     .relu = options.relu,
                                     .scratch = scratch.data(),
                                     .threads = options.threads});
  }
  /// Σ x and Σ x² as whoever wrote x may have them.
  void give_sums() {
    for (std::int64_t c = 0; c < channels; ++c) {
      double s1 = 0, s2 = 0;
      for (std::int64_t n = 0; n < view.batch; ++n) {
        for (std::int64_t p = 0; p < view.pixels; ++p) {
          const double value = x[offset_of(view, n, c, p)];
          s1 += value;
          s2 += value * value;
        }
      }
      sum.push_back(static_cast<float>(s1));
      squares.push_back(static_cast<float>(s2));
    }
  }
  BatchNormBackward backward_args() {
    return {.view = view,
            .dtype = dtype,
            .channels = channels,
            .dy = dy.data(),
            .dy2 = options.residual ? dy2.data() : nullptr,
            .x = x.data(),
            .y = options.residual ? y.data() : nullptr,
            .gamma = gamma.data(),
            .beta = beta.data(),
            .mean = mean.data(),
            .inv_std = inv_std.data(),
            .dx = dx.data(),
            .dresidual = options.residual ? dresidual.data() : nullptr,
            .dgamma = dgamma.data(),
            .dbeta = dbeta.data(),
            .relu = options.relu,
            .scratch = scratch.data(),
            .threads = options.threads};
  }
};

void check_forward(const Problem& r) {
  const double eps = epsilon_of(r.dtype), n = static_cast<double>(r.view.batch * r.view.pixels);
  for (std::int64_t c = 0; c < r.channels; ++c) {
    double sum = 0, squares = 0, fourth = 0;
    const auto for_all = [&](auto visit) {
      for (std::int64_t b = 0; b < r.view.batch; ++b) {
        for (std::int64_t p = 0; p < r.view.pixels; ++p) visit(offset_of(r.view, b, c, p));
      }
    };
    for_all([&](std::int64_t at) { sum += r.x[at]; });
    const double mean = sum / n;
    for_all([&](std::int64_t at) {
      const double d = (r.x[at] - mean) * (r.x[at] - mean);
      squares += d;
      fourth += d * d;
    });
    const double var = squares / n, inv_std = 1 / std::sqrt(var + 1e-5);
    const auto i = static_cast<std::size_t>(c);
    ASSERT_NEAR(r.mean[i], mean, 0x1p-22 * (std::fabs(mean) + std::sqrt(var)));
    // |error| ≤ 8 · 2^-24 · sqrt(n) · ‖terms‖₂, terms (x − mean)², over n
    const double var_bound = 8 * 0x1p-24 * std::sqrt(n) * std::sqrt(fourth) / n;
    ASSERT_NEAR(r.batch_var[i], n > 1 ? squares / (n - 1) : 0, 2 * var_bound);
    ASSERT_NEAR(r.inv_std[i], inv_std, inv_std * (0x1p-23 + var_bound / (var + 1e-5) / 2));
    const double g = r.gamma[i], b = r.beta[i];
    for_all([&](std::int64_t at) {
      double y = (r.x[at] - mean) * inv_std * g + b;
      // the terms of the affine form, x · scale and shift, and the errors that mean and inv_std are allowed
      double terms = std::fabs(r.x[at] * inv_std * g) + std::fabs(mean * inv_std * g) + std::fabs(b);
      terms += std::fabs(g) * (std::sqrt(mean * mean + var) + std::fabs(r.x[at] - mean)) * inv_std;
      if (r.options.residual) {
        y += r.residual[at];
        terms += std::fabs(r.residual[at]);
      }
      if (r.options.relu) y = std::max(y, 0.0);
      ASSERT_NEAR(r.y[at], y, 8 * 0x1p-24 * terms + (r.dtype == DType::bf16 ? eps * std::fabs(y) : 0));
    });
  }
}

void check_backward(const Problem& r) {
  const double eps = epsilon_of(r.dtype), n = static_cast<double>(r.view.batch * r.view.pixels);
  for (std::int64_t c = 0; c < r.channels; ++c) {
    const auto i = static_cast<std::size_t>(c);
    const double mean = r.mean[i], inv_std = r.inv_std[i], g = r.gamma[i];
    const auto dz_of = [&](std::int64_t at) {
      const double dz = r.dy[at] + (r.options.residual ? r.dy2[at] : 0);
      return r.options.relu && r.y[at] <= 0 ? 0.0 : dz;
    };
    double dbeta = 0, dgamma = 0, terms = 0, gamma_terms = 0;
    const auto for_all = [&](auto visit) {
      for (std::int64_t b = 0; b < r.view.batch; ++b) {
        for (std::int64_t p = 0; p < r.view.pixels; ++p) visit(offset_of(r.view, b, c, p));
      }
    };
    for_all([&](std::int64_t at) {
      const double dz = dz_of(at), term = dz * (r.x[at] - mean) * inv_std;
      dbeta += dz;
      dgamma += term;
      terms += dz * dz;
      gamma_terms += term * term;
    });
    const double bound = 8 * 0x1p-24 * std::sqrt(n) * std::sqrt(terms) + 1e-30;
    const double gamma_bound = 8 * 0x1p-24 * std::sqrt(n) * (std::sqrt(gamma_terms) + std::fabs(mean * inv_std));
    ASSERT_NEAR(r.dbeta[i], dbeta, bound);
    ASSERT_NEAR(r.dgamma[i], dgamma, gamma_bound + bound);
    for_all([&](std::int64_t at) {
      const double xhat = (r.x[at] - mean) * inv_std, dz = dz_of(at);
      const double dx = g * inv_std * (dz - dbeta / n - xhat * dgamma / n);
      const double size =
          std::fabs(g * inv_std) * (std::fabs(dz) + std::fabs(dbeta) / n + std::fabs(xhat * dgamma) / n);
      const double slack = std::fabs(g * inv_std) * (bound + std::fabs(xhat) * gamma_bound) / n;
      ASSERT_NEAR(r.dx[at], dx, 16 * 0x1p-24 * size + slack + (r.dtype == DType::bf16 ? 2 * eps * size : 0));
      if (r.options.residual) {
        ASSERT_NEAR(r.dresidual[at], dz, eps * std::fabs(dz));
      }
    });
  }
}

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
void run_in_shards(Problem& r, Isa isa, std::int64_t shards) {
  const BatchNormSynchronizedKernels& kernels = batch_norm_synchronized_kernels(isa);
  ChannelView view = r.view;
  view.batch /= shards;
  const auto part = [&](Values& values, std::int64_t shard) {
    return static_cast<std::byte*>(values.data()) +
           static_cast<std::size_t>(shard * view.elements()) * size_of(r.dtype);
  };
  std::vector<float> gathered(static_cast<std::size_t>(2 * shards * r.channels));
  const auto own = [&](std::int64_t shard) { return gathered.data() + 2 * shard * r.channels; };
  for (std::int64_t s = 0; s < shards; ++s) {
    kernels.moments({.view = view,
                     .dtype = r.dtype,
                     .channels = r.channels,
                     .x = part(r.x, s),
                     .mean = own(s),
                     .var = own(s) + r.channels,
                     .scratch = r.scratch.data(),
                     .threads = r.options.threads});
  }
  combine_batch_norm_moments({.moments = gathered.data(),
                              .shards = shards,
                              .channels = r.channels,
                              .count = static_cast<double>(r.view.batch * r.view.pixels),
                              .mean = r.mean.data(),
                              .inv_std = r.inv_std.data(),
                              .batch_mean = r.batch_mean.data(),
                              .batch_var = r.batch_var.data()});
  std::vector<float> dgamma(r.dgamma.size()), dbeta(r.dbeta.size());
  const auto gradient = [&](std::int64_t s) {
    BatchNormBackward args = r.backward_args();
    args.view = view;
    args.x = part(r.x, s);
    args.dy = part(r.dy, s);
    args.dx = part(r.dx, s);
    args.dy2 = args.y = nullptr;
    args.dresidual = nullptr;
    return args;
  };
  for (std::int64_t s = 0; s < shards; ++s) {
    batch_norm_kernels(isa).inference({.view = view,
                                       .dtype = r.dtype,
                                       .channels = r.channels,
                                       .x = part(r.x, s),
                                       .residual = r.options.residual ? part(r.residual, s) : nullptr,
                                       .gamma = r.gamma.data(),
                                       .beta = r.beta.data(),
                                       .running_mean = r.mean.data(),
                                       .inv_std = r.inv_std.data(),
                                       .y = part(r.y, s),
                                       .relu = r.options.relu,
                                       .scratch = r.scratch.data(),
                                       .threads = r.options.threads});
    BatchNormSums sums{.gradient = gradient(s), .sums = own(s)};
    sums.gradient.dgamma = dgamma.data();
    sums.gradient.dbeta = dbeta.data();
    if (r.options.residual) {
      sums.gradient.y = part(r.y, s);
      sums.gradient.dy2 = part(r.dy2, s);
      sums.gradient.dresidual = part(r.dresidual, s);
    }
    kernels.sums(sums);
    for (std::size_t c = 0; c < dgamma.size(); ++c) {
      r.dgamma[c] = dgamma[c] + (s == 0 ? 0 : r.dgamma[c]);
      r.dbeta[c] = dbeta[c] + (s == 0 ? 0 : r.dbeta[c]);
    }
  }
  for (std::int64_t s = 0; s < shards; ++s) {
    BatchNormInputGradient second{.gradient = gradient(s), .sums = gathered.data(), .shards = shards};
    if (r.options.residual) {
      second.gradient.dy = part(r.dresidual, s);
      second.gradient.relu = false;
    }
    kernels.input_gradient(second);
  }
}

// Means travel between shards as float32: far from 0, the variance of the whole takes their rounding too.
constexpr Options kShardOptions[] = {
    {false, false, 1, 0}, {true, false, 2, 0}, {true, true, 1, 0}, {false, false, 3, 2}};

TEST(BatchNorm, InShardsMatchesDoubleOverTheWholeBatch) {
  for (const Isa isa : isas()) {
    for (const Case& shape : {Case{3, 3, 5}, Case{6, 16, 49}, Case{12, 67, 30}}) {
      for (const ChannelView& view : layouts_of(shape.batch, shape.channels, shape.pixels)) {
        for (const DType dtype : {DType::f32, DType::bf16}) {
          for (const Options& options : kShardOptions) {
            SCOPED_TRACE(describe(isa, view, dtype) + " relu " + std::to_string(options.relu) + " residual " +
                         std::to_string(options.residual) + " threads " + std::to_string(options.threads));
            Problem run(view, dtype, shape.channels, options);
            run_in_shards(run, isa, 3);
            check_forward(run);
            check_backward(run);
            if (HasFatalFailure()) return;
          }
        }
      }
    }
  }
}

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
}  // namespace athanor::kernels::testing
