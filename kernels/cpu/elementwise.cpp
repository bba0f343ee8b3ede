#include "kernels/elementwise.h"

#include <cstring>
#include <type_traits>

#include "kernels/cpu/math.h"
#include "kernels/cpu/parallel.h"

namespace athanor::kernels::ATHANOR_ISA {
namespace {

/// y[i] = f(x[i]).
template <typename From, typename To, typename F>
ATHANOR_INLINE void map(const From* x, To* y, std::int64_t count, int threads, F&& f) {
  parallel_ranges(threads, count, kElementGrain, [&](std::int64_t begin, std::int64_t end) {
    for_vectors(
        begin, end, [&](std::int64_t i, auto part) __attribute__((always_inline)) {
          store(y + i, f(load(x + i, part)), part);
        });
  });
}

/// y[i] = f(a[i], b[i]).
template <typename T, typename F>
ATHANOR_INLINE void map2(const T* a, const T* b, T* y, std::int64_t count, int threads, F&& f) {
  parallel_ranges(threads, count, kElementGrain, [&](std::int64_t begin, std::int64_t end) {
    for_vectors(
        begin, end, [&](std::int64_t i, auto part) __attribute__((always_inline)) {
          store(y + i, f(load(a + i, part), load(b + i, part)), part);
        });
  });
}

// sqrt(2 / π), 1 / sqrt(2), 1 / sqrt(2π)
constexpr float kTanhScale = 0.797884561f, kTanhCubic = 0.044715f, kSqrtHalf = 0.707106781f, kNormal = 0.398942280f;

struct Relu {
  float slope;
  [[gnu::always_inline]] Vec value(Vec x) const { return max(Vec{}, x); }
  [[gnu::always_inline]] Vec gradient(Vec dy, Vec y) const { return y <= 0.0f ? Vec{} : dy; }
};
struct LeakyRelu {
  float slope;
  [[gnu::always_inline]] Vec value(Vec x) const { return x < 0.0f ? x * slope : x; }
  [[gnu::always_inline]] Vec gradient(Vec dy, Vec x) const { return x > 0.0f ? dy : dy * slope; }
};
struct Sigmoid {
  float slope;
  [[gnu::always_inline]] Vec value(Vec x) const { return sigmoid(x); }
  [[gnu::always_inline]] Vec gradient(Vec dy, Vec y) const { return dy * y * (1.0f - y); }
};
struct Tanh {
  float slope;
  [[gnu::always_inline]] Vec value(Vec x) const { return tanh(x); }
  [[gnu::always_inline]] Vec gradient(Vec dy, Vec y) const { return dy * fma(-y, y, splat(1.0f)); }
};
struct GeluErf {
  float slope;
  [[gnu::always_inline]] Vec value(Vec x) const { return 0.5f * x * (1.0f + erf(x * kSqrtHalf)); }
  [[gnu::always_inline]] Vec gradient(Vec dy, Vec x) const {
    const Vec cdf = 0.5f * (1.0f + erf(x * kSqrtHalf));
    return dy * fma(x, kNormal * exp(-0.5f * x * x), cdf);
  }
};
struct GeluTanh {
  float slope;
  [[gnu::always_inline]] Vec value(Vec x) const {
    const Vec inner = kTanhScale * x * fma(kTanhCubic * x, x, splat(1.0f));
    return 0.5f * x * (1.0f + tanh(inner));
  }
  [[gnu::always_inline]] Vec gradient(Vec dy, Vec x) const {
    const Vec t = tanh(kTanhScale * x * fma(kTanhCubic * x, x, splat(1.0f)));
    const Vec slope_of_inner = kTanhScale * fma(3.0f * kTanhCubic * x, x, splat(1.0f));
    return dy * (0.5f * (1.0f + t) + 0.5f * x * fma(-t, t, splat(1.0f)) * slope_of_inner);
  }
};
struct Silu {
  float slope;
  [[gnu::always_inline]] Vec value(Vec x) const { return x * sigmoid(x); }
  [[gnu::always_inline]] Vec gradient(Vec dy, Vec x) const {
    const Vec s = sigmoid(x);
    return dy * s * fma(x, 1.0f - s, splat(1.0f));
  }
};

template <typename F>
ATHANOR_INLINE void with_activation(Activation kind, float slope, F&& run) {
  switch (kind) {
    case Activation::relu:
      return run(Relu{slope});
    case Activation::leaky_relu:
      return run(LeakyRelu{slope});
    case Activation::sigmoid:
      return run(Sigmoid{slope});
    case Activation::tanh:
      return run(Tanh{slope});
    case Activation::gelu_erf:
      return run(GeluErf{slope});
    case Activation::gelu_tanh:
      return run(GeluTanh{slope});
    case Activation::silu:
      return run(Silu{slope});
  }
}

void activation(Activation kind, DType dtype, const void* x, void* y, std::int64_t count, float slope, int threads) {
  with_type(dtype, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    with_activation(kind, slope, [&](auto f) {
      map(
          static_cast<const T*>(x), static_cast<T*>(y), count,
          threads, [&](Vec v) __attribute__((always_inline)) { return f.value(v); });
    });
  });
}

void activation_backward(Activation kind, DType dtype, const void* dy, const void* saved, void* dx, std::int64_t count,
                         float slope, int threads) {
  with_type(dtype, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    with_activation(kind, slope, [&](auto f) {
      map2(
          static_cast<const T*>(dy), static_cast<const T*>(saved), static_cast<T*>(dx), count,
          threads, [&](Vec g, Vec s) __attribute__((always_inline)) { return f.gradient(g, s); });
    });
  });
}

void add(DType dtype, const void* a, const void* b, void* y, std::int64_t count, int threads) {
  with_type(dtype, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    map2(
        static_cast<const T*>(a), static_cast<const T*>(b), static_cast<T*>(y), count, threads,
        [](Vec u, Vec v) __attribute__((always_inline)) { return u + v; });
  });
}

void add_relu(DType dtype, const void* a, const void* b, void* y, std::int64_t count, int threads) {
  with_type(dtype, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    map2(
        static_cast<const T*>(a), static_cast<const T*>(b), static_cast<T*>(y), count, threads,
        [](Vec u, Vec v) __attribute__((always_inline)) { return max(Vec{}, u + v); });
  });
}

void multiply(DType dtype, const void* x, float factor, void* y, std::int64_t count, int threads) {
  with_type(dtype, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    map(
        static_cast<const T*>(x), static_cast<T*>(y), count,
        threads, [=](Vec v) __attribute__((always_inline)) { return v * factor; });
  });
}

void zero(void* y, std::int64_t bytes, int threads) {
  parallel_ranges(threads, bytes, kElementGrain * 4, [&](std::int64_t begin, std::int64_t end) {
    std::memset(static_cast<char*>(y) + begin, 0, static_cast<std::size_t>(end - begin));
  });
}

void cast(DType from, const void* x, DType to, void* y, std::int64_t count, int threads) {
  if (from == to) {
    const auto size = static_cast<std::int64_t>(from == DType::bf16 ? sizeof(BFloat16) : sizeof(float));
    parallel_ranges(threads, count * size, kElementGrain * 4, [&](std::int64_t begin, std::int64_t end) {
      std::memmove(static_cast<char*>(y) + begin, static_cast<const char*>(x) + begin,
                   static_cast<std::size_t>(end - begin));
    });
  } else if (to == DType::bf16) {
    map(
        static_cast<const float*>(x), static_cast<BFloat16*>(y), count, threads,
        [](Vec v) __attribute__((always_inline)) { return v; });
  } else {
    map(
        static_cast<const BFloat16*>(x), static_cast<float*>(y), count, threads,
        [](Vec v) __attribute__((always_inline)) { return v; });
  }
}

}  // namespace

extern const ElementwiseKernels elementwise_table = {activation, activation_backward, add, add_relu, multiply, cast,
                                                     zero};

}  // namespace athanor::kernels::ATHANOR_ISA
