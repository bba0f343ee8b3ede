// Kernels that treat a value as a flat array: activations and their gradients, addition, casts. Layouts do not matter.
#pragma once

#include <cstdint>

#include "base/dtype.h"
#include "kernels/isa.h"

namespace athanor::kernels {

/// relu: max(x, 0) (NaN stays). leaky_relu: x ≥ 0 ? x : slope · x. gelu_erf: x · Φ(x); gelu_tanh: its tanh
/// approximation (Hendrycks and Gimpel 2016). silu: x · sigmoid(x).
enum class Activation : std::uint8_t { relu, leaky_relu, sigmoid, tanh, gelu_erf, gelu_tanh, silu };

/// Whether the gradient is computed from the forward output y (relu, sigmoid, tanh) or from the input x (the others).
constexpr bool gradient_uses_output(Activation activation) {
  return activation == Activation::relu || activation == Activation::sigmoid || activation == Activation::tanh;
}

/// Arrays hold `count` elements of f32 or bf16; arithmetic is float. Outputs may be one of the inputs, not overlap
/// otherwise.
struct ElementwiseKernels {
  /// y = activation(x); `slope` is leaky_relu's.
  void (*activation)(Activation kind, DType dtype, const void* x, void* y, std::int64_t count, float slope,
                     int threads);
  /// dx = dy · activation'(saved), saved = y or x as gradient_uses_output says. relu: dx = dy where y is not ≤ 0.
  void (*activation_backward)(Activation kind, DType dtype, const void* dy, const void* saved, void* dx,
                              std::int64_t count, float slope, int threads);
  /// y = a + b.
  void (*add)(DType dtype, const void* a, const void* b, void* y, std::int64_t count, int threads);
  /// y = relu(a + b).
  void (*add_relu)(DType dtype, const void* a, const void* b, void* y, std::int64_t count, int threads);
  /// y = factor · x.
  void (*multiply)(DType dtype, const void* x, float factor, void* y, std::int64_t count, int threads);
  /// y = x, f32 or bf16 either side (bf16 rounds to nearest even). Not in place, unless the types are the same.
  void (*cast)(DType from, const void* x, DType to, void* y, std::int64_t count, int threads);
  /// y = 0: all bits of `bytes` bytes.
  void (*zero)(void* y, std::int64_t bytes, int threads);
};

const ElementwiseKernels& elementwise_kernels(Isa isa = active_isa());

}  // namespace athanor::kernels
