// The one-dimensional transforms that the gradient of the weights needs beside those of the convolution. Its bilinear
// form is F(4, 3)'s transposed: of y = Aᵀ [(G g) ⊙ (Bᵀ d)] follows dg = Gᵀ [(A dy) ⊙ (Bᵀ d)], with the same matrices.
#pragma once

#include "kernels/cpu/winograd_transforms.h"

namespace athanor::kernels::ATHANOR_ISA::winograd_weights {

using namespace winograd;

/// s = A dy, [6] of [4].
ATHANOR_INLINE void transform_gradient(const Vec (&dy)[kOutputs], Vec (&s)[kInputs]) {
  const Vec even_a = fma(splat(2.0f), dy[0], dy[2]), odd_a = fma(splat(2.0f), dy[1], dy[3]);
  const Vec even_b = fma(splat(0.5f), dy[0], dy[2]), odd_b = fma(splat(0.5f), dy[1], dy[3]);
  s[0] = dy[0];
  s[1] = fma(splat(kRootHalf), odd_a, even_a);
  s[2] = fma(splat(kRootHalf), -odd_a, even_a);
  s[3] = fma(splat(kRootTwo), odd_b, even_b);
  s[4] = fma(splat(kRootTwo), -odd_b, even_b);
  s[5] = dy[3];
}

/// dg = Gᵀ m, [3] of [6].
ATHANOR_INLINE void transform_sums(const Vec (&m)[kInputs], Vec (&dg)[kTaps]) {
  const Vec sum_a = m[1] + m[2], difference_a = m[1] - m[2];
  const Vec sum_b = m[3] + m[4], difference_b = m[3] - m[4];
  dg[0] = fma(splat(1.0f / 3), sum_b - sum_a, m[0]);
  dg[1] = splat(kRootHalf / 3) * fma(splat(2.0f), difference_b, -difference_a);
  dg[2] = fma(splat(2.0f / 3), sum_b, fma(splat(-1.0f / 6), sum_a, m[5]));
}

}  // namespace athanor::kernels::ATHANOR_ISA::winograd_weights
