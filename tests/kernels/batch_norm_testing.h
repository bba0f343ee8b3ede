// One batch norm with all of its arrays, and what a double reference says of it.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/batch_norm.h"
#include "kernels/kernel_testing.h"

namespace athanor::kernels::testing::batch_norm {

struct Case {
  std::int64_t batch, channels, pixels;
};
inline constexpr Case kCases[] = {{1, 1, 1},   {2, 3, 5},    {3, 16, 49}, {5, 20, 63},
                                  {4, 67, 30}, {2, 130, 17}, {1, 8, 9000}};

struct Options {
  bool relu, residual;
  int threads;
  double mean;
};
inline constexpr Options kOptions[] = {
    {false, false, 1, 0}, {true, false, 2, 0}, {true, true, 1, 0}, {false, false, 3, 100}};

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

inline void check_forward(const Problem& r) {
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

inline void check_backward(const Problem& r) {
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

}  // namespace athanor::kernels::testing::batch_norm
