// Element-wise kernels for GPUs: flat arrays of `count` elements, dtype f32, bf16 or f16, arithmetic in float. Arrays
// aligned to 32 bytes are fastest; y may be an input.
#pragma once

#include <cstdint>

#include "base/dtype.h"
#include "kernels/elementwise.h"

namespace athanor::kernels::cuda {

/// y = first + second.
struct Add {
  DType dtype = DType::f32;
  const void* first = nullptr;
  const void* second = nullptr;
  void* y = nullptr;
  std::int64_t count = 0;
};

/// y = activation(x); `slope` is leaky_relu's.
struct Activate {
  Activation kind = Activation::relu;
  DType dtype = DType::f32;
  const void* x = nullptr;
  void* y = nullptr;
  std::int64_t count = 0;
  float slope = 0;
};

/// dx = dy · activation'(saved), saved = y or x as gradient_uses_output says.
struct ActivateBackward {
  Activation kind = Activation::relu;
  DType dtype = DType::f32;
  const void* dy = nullptr;
  const void* saved = nullptr;
  void* dx = nullptr;
  std::int64_t count = 0;
  float slope = 0;
};

/// y = x in another type, rounded to nearest even. Not in place, unless the types are the same.
struct Cast {
  DType from = DType::f32;
  DType to = DType::f32;
  const void* x = nullptr;
  void* y = nullptr;
  std::int64_t count = 0;
};

}  // namespace athanor::kernels::cuda
