// Activations, their gradients, sums and casts against double, at every alignment.
#include "kernels/cuda/elementwise.h"

#include "gpu/kernels/guarded.h"

namespace athanor::kernels::cuda::testing {
namespace {

constexpr Activation kActivations[] = {Activation::relu, Activation::leaky_relu, Activation::sigmoid,
                                       Activation::tanh, Activation::gelu_erf,   Activation::gelu_tanh,
                                       Activation::silu};
constexpr std::int64_t kCounts[] = {0, 1, 7, 8, 33, 1000, 4099};

double value_of(Activation kind, double x, double slope) {
  const double inner = std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x);
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
      return 0.5 * x * std::erfc(-x / std::sqrt(2.0));
    case Activation::gelu_tanh:
      return 0.5 * x * (1 + std::tanh(inner));
    case Activation::silu:
      return x / (1 + std::exp(-x));
  }
  return 0;
}

double slope_at(Activation kind, double x, double slope) {
  const double h = 1e-5;
  if (kind == Activation::relu) return x > 0 ? 1 : 0;
  if (kind == Activation::leaky_relu) return x > 0 ? 1 : slope;
  return (value_of(kind, x + h, slope) - value_of(kind, x - h, slope)) / (2 * h);
}

TEST(GpuElementwise, ActivationsAgreeWithDouble) {
  for (const Activation kind : kActivations) {
    for (const DType dtype : kFloatTypes) {
      for (const std::int64_t count : kCounts) {
        for (const bool shift : {false, true}) {
          Guarded x(dtype, count, shift), y(dtype, count);
          x.fill_random(static_cast<std::uint64_t>(count), 3);
          run(Activate{kind, dtype, x.data(), y.data(), count, 0.1f});
          for (std::int64_t i = 0; i < count; ++i) {
            const double want = value_of(kind, x[i], 0.1f);
            ASSERT_NEAR(y[i], want, rounding_of(dtype) * std::abs(want) + 3e-7 * (1 + std::abs(x[i])))
                << name_of(dtype) << " activation " << static_cast<int>(kind) << " of " << x[i];
          }
        }
      }
    }
  }
}

TEST(GpuElementwise, GradientsAgreeWithDifferenceQuotients) {
  for (const Activation kind : kActivations) {
    for (const DType dtype : kFloatTypes) {
      for (const std::int64_t count : kCounts) {
        Guarded dy(dtype, count), saved(dtype, count), dx(dtype, count);
        dy.fill_random(1);
        std::vector<double> x(static_cast<std::size_t>(count));
        Guarded input(DType::f32, count);
        input.fill_random(2, 2);
        for (std::int64_t i = 0; i < count; ++i) {
          saved.set(i, gradient_uses_output(kind) ? value_of(kind, input[i], 0.1f) : input[i]);
        }
        run(ActivateBackward{kind, dtype, dy.data(), saved.data(), dx.data(), count, 0.1f});
        for (std::int64_t i = 0; i < count; ++i) {
          // From a rounded output the gradient is that of the rounded output.
          double slope = 0;
          if (kind == Activation::sigmoid) {
            slope = saved[i] * (1 - saved[i]);
          } else if (kind == Activation::tanh) {
            slope = 1 - saved[i] * saved[i];
          } else {
            slope = slope_at(kind, saved[i], 0.1f);
          }
          ASSERT_NEAR(dx[i], dy[i] * slope, rounding_of(dtype) * std::abs(dy[i] * slope) + 1e-6 * (1 + std::abs(dy[i])))
              << name_of(dtype) << " activation " << static_cast<int>(kind) << " at " << saved[i];
        }
      }
    }
  }
}

TEST(GpuElementwise, NotANumberStaysOne) {
  for (const Activation kind : kActivations) {
    Guarded x(DType::f32, 1), y(DType::f32, 1);
    x.set(0, NAN);
    run(Activate{kind, DType::f32, x.data(), y.data(), 1, 0.1f});
    EXPECT_TRUE(std::isnan(y[0])) << static_cast<int>(kind);
  }
}

TEST(GpuElementwise, SumsAreRoundedOnceAndMayBeInPlace) {
  for (const DType dtype : kFloatTypes) {
    for (const std::int64_t count : kCounts) {
      for (const bool shift : {false, true}) {
        Guarded a(dtype, count, shift), b(dtype, count);
        a.fill_random(1);
        b.fill_random(2);
        std::vector<double> want;
        for (std::int64_t i = 0; i < count; ++i) want.push_back(a.rounded(a[i] + b[i]));
        run(Add{dtype, a.data(), b.data(), a.data(), count});
        for (std::int64_t i = 0; i < count; ++i) ASSERT_EQ(a[i], want[static_cast<std::size_t>(i)]);
      }
    }
  }
}

TEST(GpuElementwise, CastsRoundToNearest) {
  for (const DType from : kFloatTypes) {
    for (const DType to : kFloatTypes) {
      for (const std::int64_t count : kCounts) {
        for (const bool shift : {false, true}) {
          Guarded x(from, count, shift), y(to, count);
          x.fill_random(3, 100);
          run(Cast{from, to, x.data(), y.data(), count});
          for (std::int64_t i = 0; i < count; ++i) ASSERT_EQ(y[i], y.rounded(x[i]));
        }
      }
    }
  }
}

}  // namespace
}  // namespace athanor::kernels::cuda::testing
