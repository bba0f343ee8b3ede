#include "kernels/losses.h"

#include <numeric>

#include "kernels/kernel_testing.h"

namespace athanor::kernels::testing {
namespace {

std::vector<double> log_softmax(const Values& x, std::int64_t row, std::int64_t columns) {
  std::vector<double> out;
  double top = -1e300, sum = 0;
  for (std::int64_t c = 0; c < columns; ++c) top = std::max(top, x[row * columns + c]);
  for (std::int64_t c = 0; c < columns; ++c) sum += std::exp(x[row * columns + c] - top);
  for (std::int64_t c = 0; c < columns; ++c) out.push_back(x[row * columns + c] - top - std::log(sum));
  return out;
}

TEST(Losses, SoftmaxAndItsGradientMatchDouble) {
  for (const Isa isa : isas()) {
    for (const DType dtype : {DType::f32, DType::bf16}) {
      for (const std::int64_t columns : {1, 10, 37, 1000}) {
        Values x = random_values(dtype, 5 * columns, 1, 0, 3), y = x, dx = x, dy = random_values(dtype, 5 * columns, 2);
        loss_kernels(isa).softmax(dtype, x.data(), y.data(), 5, columns, 2);
        loss_kernels(isa).softmax_backward(dtype, dy.data(), y.data(), dx.data(), 5, columns, 1);
        for (std::int64_t row = 0; row < 5; ++row) {
          const auto log_p = log_softmax(x, row, columns);
          double dot = 0, size = 0;
          for (std::int64_t c = 0; c < columns; ++c) dot += y[row * columns + c] * dy[row * columns + c];
          for (std::int64_t c = 0; c < columns; ++c) size += std::fabs(y[row * columns + c] * dy[row * columns + c]);
          for (std::int64_t c = 0; c < columns; ++c) {
            const std::int64_t i = row * columns + c;
            const double p = std::exp(log_p[static_cast<std::size_t>(c)]);
            // the exponent's argument is rounded: up to 12 ulp of an argument up to 20
            ASSERT_NEAR(y[i], p, p * (epsilon_of(dtype) + 32 * 0x1p-24));
            const double want = y[i] * (dy[i] - dot);
            ASSERT_NEAR(dx[i], want,
                        epsilon_of(dtype) * std::fabs(want) + 8 * 0x1p-24 * y[i] * (std::fabs(dy[i]) + size));
          }
        }
      }
    }
  }
}

double cross_entropy(const Values& x, const std::vector<std::int32_t>& labels, std::int64_t classes,
                     const std::vector<float>& weights, double smoothing) {
  double loss = 0, total = 0;
  for (std::size_t n = 0; n < labels.size(); ++n) {
    if (labels[n] < 0) continue;
    const auto log_p = log_softmax(x, static_cast<std::int64_t>(n), classes);
    const auto label = static_cast<std::size_t>(labels[n]);
    loss -= (1 - smoothing) * weights[label] * log_p[label];
    for (std::size_t c = 0; c < weights.size(); ++c) {
      loss -= smoothing / static_cast<double>(classes) * weights[c] * log_p[c];
    }
    total += weights[label];
  }
  return loss / total;
}

TEST(Losses, CrossEntropyMatchesDoubleAndFiniteDifferences) {
  for (const Isa isa : isas()) {
    for (const std::int64_t classes : {2, 10, 101}) {
      for (const float smoothing : {0.0f, 0.1f}) {
        for (const bool weighted : {false, true}) {
          const std::int64_t batch = 6;
          Values x = random_values(DType::f32, batch * classes, 3, 0, 2), dx = x;
          std::vector<std::int32_t> labels;
          for (std::int32_t n = 0; n < batch; ++n) labels.push_back(n == 2 ? -1 : n * 7 % static_cast<int>(classes));
          std::vector<float> weights(static_cast<std::size_t>(classes), 1.0f);
          for (std::size_t c = 0; weighted && c < weights.size(); ++c)
            weights[c] = 0.5f + 0.01f * static_cast<float>(c);
          float loss = 0;
          std::vector<float> samples(labels.size());
          double loss_sum = 0, weight_sum = 0;
          const float* given = weighted ? weights.data() : nullptr;
          loss_kernels(isa).cross_entropy({.batch = batch,
                                           .classes = classes,
                                           .logits = x.data(),
                                           .labels = labels.data(),
                                           .class_weights = given,
                                           .label_smoothing = smoothing,
                                           .loss = &loss,
                                           .sample_loss = samples.data(),
                                           .loss_sum = &loss_sum,
                                           .weight_sum = &weight_sum});
          const double want = cross_entropy(x, labels, classes, weights, static_cast<double>(smoothing));
          ASSERT_NEAR(loss, want, 8 * 0x1p-24 * (1 + want));
          ASSERT_NEAR(loss_sum / weight_sum, want, 8 * 0x1p-24 * (1 + want));
          ASSERT_EQ(samples[2], 0);
          ASSERT_NEAR(std::accumulate(samples.begin(), samples.end(), 0.0), loss_sum, 1e-5);
          loss_kernels(isa).cross_entropy_backward({.batch = batch,
                                                    .classes = classes,
                                                    .logits = x.data(),
                                                    .labels = labels.data(),
                                                    .class_weights = given,
                                                    .label_smoothing = smoothing,
                                                    .scale = 3,
                                                    .dlogits = dx.data()});
          for (std::int64_t i = 0; i < x.count(); ++i) {
            const double at = x[i], step = 0x1p-6;
            Values up = x, down = x;
            up.set(i, at + step);
            down.set(i, at - step);
            const double span = up[i] - down[i];
            const double slope = (cross_entropy(up, labels, classes, weights, static_cast<double>(smoothing)) -
                                  cross_entropy(down, labels, classes, weights, static_cast<double>(smoothing))) /
                                 span;
            ASSERT_NEAR(dx[i], 3 * slope, 3 * step * step / 6 + 1e-6);  // the difference's own error, and rounding
          }
        }
      }
    }
  }
}

TEST(Losses, TopCountsBreakTiesByLowerClass) {
  const std::vector<float> logits{1, 1, 0, 0, 0, 0, 0,   // label 1 ties with 0: not top 1
                                  1, 1, 0, 0, 0, 0, 0,   // label 0: top 1
                                  5, 4, 3, 2, 1, 1, 1,   // label 5 ties for fifth with 4: not top 5
                                  5, 4, 3, 2, 1, 0, 0,   // label 4: fifth
                                  9, 0, 0, 0, 0, 0, 0};  // masked
  const std::vector<std::int32_t> labels{1, 0, 5, 4, -1};
  for (const Isa isa : isas()) {
    float loss = 0;
    std::int64_t top1 = 0, top5 = 0;
    loss_kernels(isa).cross_entropy({.batch = 5,
                                     .classes = 7,
                                     .logits = logits.data(),
                                     .labels = labels.data(),
                                     .loss = &loss,
                                     .top1 = &top1,
                                     .top5 = &top5});
    EXPECT_EQ(top1, 1);
    EXPECT_EQ(top5, 3);
  }
}

TEST(Losses, MseBceAndOneHotMatchDouble) {
  for (const Isa isa : isas()) {
    const auto& k = loss_kernels(isa);
    for (const std::int64_t count : {1, 33, 10001}) {
      Values x = random_values(DType::f32, count, 1, 0, 5), t = random_values(DType::f32, count, 2), dx = x, db = x;
      double mse = 0, bce = 0, bce_size = 0;
      for (std::int64_t i = 0; i < count; ++i) {
        mse += (x[i] - t[i]) * (x[i] - t[i]);
        bce += std::max(x[i], 0.0) - x[i] * t[i] + std::log1p(std::exp(-std::fabs(x[i])));
        bce_size += std::fabs(x[i] * t[i]);
      }
      const auto n = static_cast<double>(count);
      float loss = 0;
      k.mse(DType::f32, x.data(), t.data(), count, &loss);
      EXPECT_NEAR(loss, mse / n, 8 * 0x1p-24 * mse / n);
      k.bce_with_logits(DType::f32, x.data(), t.data(), count, &loss);
      EXPECT_NEAR(loss, bce / n, 8 * 0x1p-24 * (std::fabs(bce) + bce_size) / n);
      k.mse_backward(DType::f32, x.data(), t.data(), count, 2, dx.data());
      k.bce_with_logits_backward(DType::f32, x.data(), t.data(), count, 2, db.data());
      for (std::int64_t i = 0; i < count; ++i) {
        const double size = 8 * 0x1p-24 * (1 + std::fabs(t[i]) + std::fabs(x[i])) * 4 / n;
        ASSERT_NEAR(dx[i], 4 / n * (x[i] - t[i]), size);
        ASSERT_NEAR(db[i], 2 / n * (1 / (1 + std::exp(-x[i])) - t[i]), size);
      }
    }
    const std::vector<std::int32_t> labels{2, -1, 0};
    std::vector<float> t(9, 5);
    k.one_hot(labels.data(), 3, 3, t.data());
    EXPECT_EQ(t, (std::vector<float>{0, 0, 1, 0, 0, 0, 1, 0, 0}));
  }
}

}  // namespace
}  // namespace athanor::kernels::testing
