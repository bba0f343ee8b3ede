// The losses' kernels against the CPU's, which the double reference has checked, in float32 of the same numbers.
#include "kernels/losses.h"

#include "gpu/kernels/guarded.h"
#include "kernels/cuda/losses.h"

namespace athanor::kernels::cuda {

void launch(const Softmax&, LaunchStream);
void launch(const SoftmaxBackward&, LaunchStream);
void launch(const CrossEntropy&, LaunchStream);
void launch(const CrossEntropyBackward&, LaunchStream);
void launch(const MeanLoss&, LaunchStream);
void launch(const MeanLossBackward&, LaunchStream);
void launch(const OneHot&, LaunchStream);
void launch(const CountCorrect&, LaunchStream);

namespace testing::losses {
namespace {

struct Size {
  std::int64_t rows, columns;
};
const std::vector<Size> kSizes{{1, 1}, {7, 10}, {8, 3}, {130, 33}, {300, 10}, {17, 1000}};

template <typename Body>
void for_matrices(Body body) {
  for (const DType dtype : kFloatTypes) {
    for (const Size size : kSizes) body(RowMatrix{dtype, size.rows, size.columns}, size.rows * size.columns);
  }
}

Guarded scratch_for(const RowMatrix& m) {
  return Guarded(DType::f32, static_cast<std::int64_t>(loss_scratch_bytes(m.rows) / sizeof(float)));
}

/// Every fifth row is masked.
Guarded labels_for(const RowMatrix& m) {
  Guarded labels(DType::i32, m.rows);
  for (std::int64_t n = 0; n < m.rows; ++n) labels.set(n, n % 5 == 4 ? -1.0 : static_cast<double>(n * 7 % m.columns));
  return labels;
}

TEST(SoftmaxKernel, AndItsGradient) {
  for_matrices([](const RowMatrix& m, std::int64_t count) {
    Guarded x = random_guarded(m.dtype, count, 1, 0, 3), y(m.dtype, count), wide(DType::f32, x.values()),
            right(DType::f32, count);
    loss_kernels().softmax(DType::f32, wide.data(), right.data(), m.rows, m.columns, 1);
    launch(Softmax{m, x.data(), y.data()}, nullptr);
    expect_near(y, right.values(), 1e-6, rounding_of(m.dtype) + 1e-6, "softmax");

    Guarded dy = random_guarded(m.dtype, count, 2), dx(m.dtype, count);
    Guarded wide_dy(DType::f32, dy.values()), wide_y(DType::f32, y.values()), right_dx(DType::f32, count);
    loss_kernels().softmax_backward(DType::f32, wide_dy.data(), wide_y.data(), right_dx.data(), m.rows, m.columns, 1);
    launch(SoftmaxBackward{m, dy.data(), y.data(), dx.data()}, nullptr);
    expect_near(dx, right_dx.values(), 1e-6, rounding_of(m.dtype) + 1e-6, "softmax_backward");
    launch(SoftmaxBackward{m, dy.data(), y.data(), dy.data()}, nullptr);
    EXPECT_TRUE(dy.same_bits(dx));
  });
}

TEST(CrossEntropyKernel, WithWeightsSmoothingAndMaskedRows) {
  for (const bool is_plain : {true, false}) {
    for_matrices([&](const RowMatrix& m, std::int64_t count) {
      Guarded x = random_guarded(m.dtype, count, 1, 0, 3), wide(DType::f32, x.values()), labels = labels_for(m);
      Guarded weights(DType::f32, m.columns), loss(DType::f32, 1), samples(DType::f32, m.rows),
          right_loss(DType::f32, 1), right_samples(DType::f32, m.rows), scratch = scratch_for(m);
      for (std::int64_t c = 0; c < m.columns; ++c) weights.set(c, 0.5 + static_cast<double>(c % 3));
      const float* class_weights = is_plain ? nullptr : weights.as<float>();
      const float smoothing = is_plain ? 0.0f : 0.1f;
      loss_kernels().cross_entropy(CrossEntropyForward{.batch = m.rows,
                                                       .classes = m.columns,
                                                       .logits = wide.data(),
                                                       .labels = labels.as<std::int32_t>(),
                                                       .class_weights = class_weights,
                                                       .label_smoothing = smoothing,
                                                       .loss = right_loss.as<float>(),
                                                       .sample_loss = right_samples.as<float>()});
      in_both_orders([&] {
        launch(CrossEntropy{m, x.data(), labels.as<std::int32_t>(), class_weights, smoothing, loss.as<float>(),
                            samples.as<float>(), scratch.data()},
               nullptr);
        expect_near(loss, right_loss.values(), 1e-6, 1e-6, "loss");
        expect_near(samples, right_samples.values(), 2e-6, 1e-6, "sample losses");
      });

      Guarded dloss(DType::f32, std::vector<double>{0.25}), loss_scale(DType::f32, std::vector<double>{64}),
          dx(m.dtype, count), right_dx(DType::f32, count);
      kernels::CrossEntropyBackward cpu{.batch = m.rows,
                                        .classes = m.columns,
                                        .logits = wide.data(),
                                        .labels = labels.as<std::int32_t>(),
                                        .class_weights = class_weights,
                                        .label_smoothing = smoothing,
                                        .scale = 16,
                                        .dlogits = right_dx.data()};
      loss_kernels().cross_entropy_backward(cpu);
      launch(CrossEntropyBackward{m,
                                  {dloss.as<float>(), loss_scale.as<float>()},
                                  x.data(),
                                  labels.as<std::int32_t>(),
                                  class_weights,
                                  smoothing,
                                  dx.data()},
             nullptr);
      expect_near(dx, right_dx.values(), 1e-6, rounding_of(m.dtype) + 2e-6, "dlogits");
    });
  }
}

TEST(CrossEntropyKernel, NothingButMaskedRowsIsNoLoss) {
  const RowMatrix m{DType::f32, 3, 4};
  Guarded x = random_guarded(DType::f32, 12, 1), labels(DType::i32, std::vector<double>{-1, -1, -1}),
          loss(DType::f32, 1), dloss(DType::f32, std::vector<double>{1}), dx(DType::f32, 12), scratch = scratch_for(m);
  launch(CrossEntropy{m, x.data(), labels.as<std::int32_t>(), nullptr, 0, loss.as<float>(), nullptr, scratch.data()},
         nullptr);
  EXPECT_EQ(loss[0], 0);
  launch(CrossEntropyBackward{m, {dloss.as<float>()}, x.data(), labels.as<std::int32_t>(), nullptr, 0, dx.data()},
         nullptr);
  EXPECT_EQ(dx.values(), std::vector<double>(12, 0.0));
}

TEST(MeanLossKernel, OfSquaresAndOfLogits) {
  for_matrices([](const RowMatrix& m, std::int64_t count) {
    Guarded x = random_guarded(m.dtype, count, 1, 0, 3), t(m.dtype, count), scratch = scratch_for(m);
    for (std::int64_t i = 0; i < count; ++i) t.set(i, static_cast<double>(i % 5) / 4);
    Guarded wide(DType::f32, x.values()), wide_t(DType::f32, t.values()), dloss(DType::f32, std::vector<double>{0.5});
    for (const MeanLossKind kind : {MeanLossKind::squared_error, MeanLossKind::binary_cross_entropy_with_logits}) {
      const LossKernels& cpu = loss_kernels();
      const bool is_squares = kind == MeanLossKind::squared_error;
      Guarded loss(DType::f32, 1), samples(DType::f32, m.rows), right(DType::f32, 1), right_samples(DType::f32, m.rows);
      const auto run = is_squares ? cpu.mse : cpu.bce_with_logits;
      run(DType::f32, wide.data(), wide_t.data(), count, right.as<float>());
      for (std::int64_t n = 0; n < m.rows; ++n) {
        run(DType::f32, wide.as<float>() + n * m.columns, wide_t.as<float>() + n * m.columns, m.columns,
            right_samples.as<float>() + n);
      }
      launch(MeanLoss{m, kind, x.data(), t.data(), loss.as<float>(), samples.as<float>(), scratch.data()}, nullptr);
      expect_near(loss, right.values(), 1e-7, 1e-6, "mean loss");
      expect_near(samples, right_samples.values(), 1e-7, 1e-6, "mean loss of samples");

      Guarded dx(m.dtype, count), right_dx(DType::f32, count);
      (is_squares ? cpu.mse_backward : cpu.bce_with_logits_backward)(DType::f32, wide.data(), wide_t.data(), count,
                                                                     0.5f, right_dx.data());
      launch(MeanLossBackward{m, kind, {dloss.as<float>()}, x.data(), t.data(), dx.data()}, nullptr);
      expect_near(dx, right_dx.values(), 1e-7, rounding_of(m.dtype) + 1e-5, "dx of a mean loss");
    }
  });
}

TEST(OneHotKernel, MaskedRowsAreZero) {
  for (const Size size : kSizes) {
    const RowMatrix m{DType::f32, size.rows, size.columns};
    Guarded labels = labels_for(m), target(DType::f32, size.rows * size.columns);
    launch(OneHot{size.rows, size.columns, labels.as<std::int32_t>(), target.as<float>()}, nullptr);
    for (std::int64_t i = 0; i < target.count(); ++i)
      ASSERT_EQ(target[i], labels[i / size.columns] == static_cast<double>(i % size.columns) ? 1 : 0);
  }
}

TEST(CountCorrectKernel, RanksWithTiesAndNotANumber) {
  for_matrices([](const RowMatrix& m, std::int64_t count) {
    Guarded x = random_guarded(m.dtype, count, 1), labels = labels_for(m), ranks(DType::i32, m.rows),
            counts(DType::f32, 2), scratch = scratch_for(m);
    for (std::int64_t i = 0; i < count; i += 4) x.set(i, 0.5);  // ties
    if (count > 70) x.set(31, NAN), x.set(69, NAN);
    std::vector<double> want;
    double first = 0, first_five = 0;
    for (std::int64_t n = 0; n < m.rows; ++n) {
      const auto label = static_cast<std::int64_t>(labels[n]);
      double rank = label < 0 ? -1 : 0;
      for (std::int64_t c = 0; label >= 0 && c < m.columns; ++c) {
        const double own = x[n * m.columns + label], other = x[n * m.columns + c];
        rank += own != own || other > own || (other == own && c < label) || other != other;
      }
      want.push_back(rank);
      first += rank == 0;
      first_five += rank >= 0 && rank < 5;
    }
    launch(CountCorrect{m, x.data(), labels.as<std::int32_t>(), counts.as<float>(), ranks.as<std::int32_t>(),
                        scratch.data()},
           nullptr);
    EXPECT_EQ(ranks.values(), want);
    EXPECT_EQ(counts.values(), (std::vector<double>{first, first_five}));
  });
}

}  // namespace
}  // namespace testing::losses
}  // namespace athanor::kernels::cuda
