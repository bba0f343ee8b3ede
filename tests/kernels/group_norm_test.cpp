#include "kernels/group_norm.h"

#include "kernels/kernel_testing.h"

namespace athanor::kernels::testing {
namespace {

constexpr GroupNormShape kShapes[] = {{3, 1, 7, 1}, {2, 1, 1000, 1}, {2, 4, 3, 35}, {3, 2, 8, 1}, {1, 5, 1, 9}};

TEST(GroupNorm, MatchesDouble) {
  for (const Isa isa : isas()) {
    for (const DType dtype : {DType::f32, DType::bf16}) {
      for (const GroupNormShape& shape : kShapes) {
        const std::int64_t m = shape.group_channels * shape.pixels, channels = shape.groups * shape.group_channels;
        const std::int64_t count = shape.batch * shape.groups * m;
        const Values x = random_values(dtype, count, 1, 3), dy = random_values(dtype, count, 2);
        Values y = x, dx = x;
        const auto gamma = random_floats(channels, 3), beta = random_floats(channels, 4);
        std::vector<float> mean(static_cast<std::size_t>(shape.batch * shape.groups)), inv_std = mean;
        std::vector<float> dgamma = gamma, dbeta = beta;
        group_norm_kernels(isa).forward({.shape = shape,
                                         .dtype = dtype,
                                         .x = x.data(),
                                         .gamma = gamma.data(),
                                         .beta = beta.data(),
                                         .y = y.data(),
                                         .mean = mean.data(),
                                         .inv_std = inv_std.data(),
                                         .threads = 2});
        group_norm_kernels(isa).backward({.shape = shape,
                                          .dtype = dtype,
                                          .dy = dy.data(),
                                          .x = x.data(),
                                          .gamma = gamma.data(),
                                          .mean = mean.data(),
                                          .inv_std = inv_std.data(),
                                          .dx = dx.data(),
                                          .dgamma = dgamma.data(),
                                          .dbeta = dbeta.data(),
                                          .threads = 2});
        std::vector<double> want_dgamma(gamma.size()), want_dbeta(gamma.size()), terms(gamma.size());
        for (std::int64_t item = 0; item < shape.batch * shape.groups; ++item) {
          const auto channel = [&](std::int64_t i) {
            return static_cast<std::size_t>(item % shape.groups * shape.group_channels + i / shape.pixels);
          };
          double sum = 0, squares = 0, sum_g = 0, sum_gx = 0, size = 0;
          const auto n = static_cast<double>(m);
          for (std::int64_t i = 0; i < m; ++i) sum += x[item * m + i];
          for (std::int64_t i = 0; i < m; ++i) squares += std::pow(x[item * m + i] - sum / n, 2);
          const double inv = 1 / std::sqrt(squares / n + 1e-5);
          const auto xhat = [&](std::int64_t i) { return (x[item * m + i] - sum / n) * inv; };
          for (std::int64_t i = 0; i < m; ++i) {
            const double g = dy[item * m + i] * static_cast<double>(gamma[channel(i)]);
            sum_g += g;
            sum_gx += g * xhat(i);
            size += std::fabs(g) + std::fabs(g * xhat(i));
            want_dgamma[channel(i)] += dy[item * m + i] * xhat(i);
            want_dbeta[channel(i)] += dy[item * m + i];
            terms[channel(i)] += std::fabs(dy[item * m + i]) * (1 + 4 * inv + std::fabs(xhat(i)));
          }
          const double eps = 16 * 0x1p-24 + (dtype == DType::bf16 ? 0x1p-8 : 0);
          // 4 is about the mean of x, whose rounding inv scales
          for (std::int64_t i = 0; i < m; ++i) {
            const double scale = gamma[channel(i)], shift = beta[channel(i)], g = dy[item * m + i] * scale;
            ASSERT_NEAR(y[item * m + i], xhat(i) * scale + shift,
                        16 * 0x1p-24 * (std::fabs(scale) * (4 * inv + std::fabs(xhat(i))) + std::fabs(shift)) +
                            (dtype == DType::bf16 ? 0x1p-8 * std::fabs(xhat(i) * scale + shift) : 0));
            const double want = inv * (g - sum_g / n - xhat(i) * sum_gx / n);
            ASSERT_NEAR(dx[item * m + i], want,
                        eps * std::fabs(want) +
                            16 * 0x1p-24 * inv * (std::fabs(g) + (1 + 4 * inv) * (1 + std::fabs(xhat(i))) * size / n));
          }
        }
        for (std::size_t c = 0; c < gamma.size(); ++c) {
          ASSERT_NEAR(dgamma[c], want_dgamma[c], 8 * 0x1p-24 * terms[c]);
          ASSERT_NEAR(dbeta[c], want_dbeta[c], 8 * 0x1p-24 * terms[c]);
        }
      }
    }
  }
}

}  // namespace
}  // namespace athanor::kernels::testing
