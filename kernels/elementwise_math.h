// The arithmetic of activations for one element, in float, with the mathematical library's functions. The CPU's kernels
// have the same formulas on vectors (kernels/cpu/elementwise.cpp).
#pragma once

#include <cmath>

#include "kernels/elementwise.h"
#include "kernels/host_device.h"

namespace athanor::kernels {

// √(2 / π), 1 / √2, 1 / √(2π)
inline constexpr float kGeluScale = 0.797884561f, kGeluCubic = 0.044715f, kSqrtHalf = 0.707106781f;
inline constexpr float kNormalDensity = 0.398942280f;

ATHANOR_HOST_DEVICE inline float sigmoid_of(float x) {
  return 1.0f / (1.0f + expf(-x));
}

/// f(x), NaN in NaN out; `slope` is leaky_relu's.
template <Activation kKind>
ATHANOR_HOST_DEVICE inline float activation_of(float x, float slope) {
  if constexpr (kKind == Activation::relu) return x <= 0.0f ? 0.0f : x;
  if constexpr (kKind == Activation::leaky_relu) return x < 0.0f ? x * slope : x;
  if constexpr (kKind == Activation::sigmoid) return sigmoid_of(x);
  if constexpr (kKind == Activation::tanh) return tanhf(x);
  if constexpr (kKind == Activation::gelu_erf) return 0.5f * x * (1.0f + erff(x * kSqrtHalf));
  if constexpr (kKind == Activation::gelu_tanh) {
    return 0.5f * x * (1.0f + tanhf(kGeluScale * x * (kGeluCubic * x * x + 1.0f)));
  }
  if constexpr (kKind == Activation::silu) return x * sigmoid_of(x);
}

/// dy · f'; `saved` is f's output or input as gradient_uses_output says.
template <Activation kKind>
ATHANOR_HOST_DEVICE inline float activation_gradient(float dy, float saved, float slope) {
  if constexpr (kKind == Activation::relu) return saved <= 0.0f ? 0.0f : dy;
  if constexpr (kKind == Activation::leaky_relu) return saved > 0.0f ? dy : dy * slope;
  if constexpr (kKind == Activation::sigmoid) return dy * saved * (1.0f - saved);
  if constexpr (kKind == Activation::tanh) return dy * (1.0f - saved * saved);
  if constexpr (kKind == Activation::gelu_erf) {
    const float cdf = 0.5f * (1.0f + erff(saved * kSqrtHalf));
    return dy * (cdf + saved * (kNormalDensity * expf(-0.5f * saved * saved)));
  }
  if constexpr (kKind == Activation::gelu_tanh) {
    const float square = kGeluCubic * saved * saved;
    const float t = tanhf(kGeluScale * saved * (square + 1.0f));
    const float slope_of_inner = kGeluScale * (3.0f * square + 1.0f);
    return dy * (0.5f * (1.0f + t) + 0.5f * saved * (1.0f - t * t) * slope_of_inner);
  }
  if constexpr (kKind == Activation::silu) {
    const float s = sigmoid_of(saved);
    return dy * s * (1.0f + saved * (1.0f - s));
  }
}

}  // namespace athanor::kernels
