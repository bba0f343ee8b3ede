#include "kernels/elementwise.h"

#include <limits>

#include "kernels/kernel_testing.h"

namespace athanor::kernels::testing {
namespace {

constexpr Activation kAll[] = {Activation::relu,     Activation::leaky_relu, Activation::sigmoid, Activation::tanh,
                               Activation::gelu_erf, Activation::gelu_tanh,  Activation::silu};

double value(Activation kind, double x, double slope) {
  switch (kind) {
    case Activation::relu:
      return x > 0 ? x : 0;
    case Activation::leaky_relu:
      return x > 0 ? x : slope * x;
    case Activation::sigmoid:
      return 1 / (1 + std::exp(-x));
    case Activation::tanh:
      return std::tanh(x);
    case Activation::gelu_erf:
      return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0)));
    case Activation::gelu_tanh:
      return 0.5 * x * (1 + std::tanh(std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x)));
    case Activation::silu:
      return x / (1 + std::exp(-x));
  }
  return 0;
}

TEST(Elementwise, ActivationsMatchDouble) {
  for (const Isa isa : isas()) {
    for (const DType dtype : {DType::f32, DType::bf16}) {
      for (const std::int64_t count : {1, 7, 33, 40001}) {
        Values x = random_values(dtype, count, 3, 0, 4), y(dtype, count);
        for (const Activation kind : kAll) {
          elementwise_kernels(isa).activation(kind, dtype, x.data(), y.data(), count, 0.01f, 2);
          for (std::int64_t i = 0; i < count; ++i) {
            const double want = value(kind, x[i], 0.01);
            // gelu and silu cancel for negative x: the bound is that of their factor x
            const bool scaled = kind == Activation::gelu_erf || kind == Activation::gelu_tanh;
            const double size = scaled ? std::fabs(x[i]) : std::fabs(want);
            const double bound = 8 * 0x1p-24 * size + (dtype == DType::bf16 ? 0x1p-8 * std::fabs(want) : 0) + 1e-37;
            ASSERT_NEAR(y[i], want, bound) << name_of(isa) << " kind " << static_cast<int>(kind) << " x " << x[i];
          }
        }
      }
    }
  }
}

TEST(Elementwise, GradientsMatchFiniteDifferencesOfDouble) {
  for (const Isa isa : isas()) {
    const std::int64_t count = 999;
    Values x = random_values(DType::f32, count, 3, 0, 2), y(DType::f32, count), dx(DType::f32, count);
    Values dy = random_values(DType::f32, count, 4);
    for (const Activation kind : kAll) {
      elementwise_kernels(isa).activation(kind, DType::f32, x.data(), y.data(), count, 0.01f, 1);
      elementwise_kernels(isa).activation_backward(
          kind, DType::f32, dy.data(), gradient_uses_output(kind) ? y.data() : x.data(), dx.data(), count, 0.01f, 1);
      for (std::int64_t i = 0; i < count; ++i) {
        if (std::fabs(x[i]) < 1e-4) continue;
        const double h = 1e-5;
        const double want = dy[i] * (value(kind, x[i] + h, 0.01) - value(kind, x[i] - h, 0.01)) / (2 * h);
        // float's rounding of factors up to |x| ≤ 10, and the difference's own error
        ASSERT_NEAR(dx[i], want, std::fabs(dy[i]) * (32 * 0x1p-24 * (1 + std::fabs(x[i])) + 1e-9))
            << name_of(isa) << " kind " << static_cast<int>(kind) << " x " << x[i];
      }
    }
  }
}

TEST(Elementwise, ExtremesStayRight) {
  const float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  const std::vector<float> x{-inf, -200, -90, -0.0f, 90, 200, inf, nan};
  std::vector<float> y(x.size());
  for (const Isa isa : isas()) {
    const auto run = [&](Activation kind) {
      elementwise_kernels(isa).activation(kind, DType::f32, x.data(), y.data(), 8, 0.01f, 1);
      EXPECT_TRUE(std::isnan(y[7])) << name_of(isa) << " kind " << static_cast<int>(kind);
    };
    for (const Activation kind : kAll) run(kind);
    run(Activation::sigmoid);
    EXPECT_EQ(y[0], 0);
    EXPECT_EQ(y[5], 1);
    EXPECT_EQ(y[6], 1);
    run(Activation::tanh);
    EXPECT_EQ(y[0], -1);
    EXPECT_EQ(y[6], 1);
    run(Activation::relu);
    EXPECT_EQ(y[1], 0);
    EXPECT_EQ(y[6], inf);
    run(Activation::gelu_erf);
    EXPECT_EQ(y[5], 200);
  }
}

TEST(Elementwise, AddCastMultiplyAreExactToOneRounding) {
  for (const Isa isa : isas()) {
    const auto& k = elementwise_kernels(isa);
    for (const std::int64_t count : {1, 31, 20000}) {
      for (const DType dtype : {DType::f32, DType::bf16}) {
        Values a = random_values(dtype, count, 1), b = random_values(dtype, count, 2), want = a, scaled = a;
        for (std::int64_t i = 0; i < count; ++i) {
          want.set(i, static_cast<float>(a[i]) + static_cast<float>(b[i]));
          scaled.set(i, static_cast<float>(a[i]) * 0.3f);
        }
        Values product = a;
        k.multiply(dtype, a.data(), 0.3f, product.data(), count, 2);
        k.add(dtype, a.data(), b.data(), a.data(), count, 2);
        for (std::int64_t i = 0; i < count; ++i) {
          ASSERT_EQ(a[i], want[i]);
          ASSERT_EQ(product[i], scaled[i]);
        }
      }
      Values wide = random_values(DType::f32, count, 5), half(DType::bf16, count), back(DType::f32, count);
      k.cast(DType::f32, wide.data(), DType::bf16, half.data(), count, 2);
      k.cast(DType::bf16, half.data(), DType::f32, back.data(), count, 2);
      for (std::int64_t i = 0; i < count; ++i) {
        ASSERT_EQ(back[i], static_cast<float>(BFloat16(static_cast<float>(wide[i]))));
      }
      k.zero(wide.data(), count * 4, 2);
      for (std::int64_t i = 0; i < count; ++i) ASSERT_EQ(wide[i], 0);
    }
  }
}

}  // namespace
}  // namespace athanor::kernels::testing
