// The one-dimensional transforms of Winograd's F(4, 3): y = Aᵀ [(G g) ⊙ (Bᵀ d)] gives the four outputs
// y[i] = Σ_k d[i + k] · g[k] of six inputs d and three weights g (Lavin and Gray 2015, section 4.1). Applied to rows
// and then to columns they give F(4×4, 3×3): 36 products for 16 outputs of a 3×3 filter instead of 144.
//
// The polynomials are interpolated at 0, ±√½, ±√2 and ∞, not at 0, ±1, ±2 and ∞: the matrices' entries then stay near
// 1, and the error in float32 falls to 0.4 of theirs, about twice that of direct summation. With a = √½ and b = √2 also
// a² = 1/2, b² = 2 and ab = 1, so most factors are powers of two. The factor that A and G may share at each point is
// chosen so that y takes the fewest operations.
//
//        1    0  -5/2   0   1   0            1      0      0           1    0   0    0
//        0  -√2   -2   √½   1   0          -1/3  -√½/3   -1/6          2   √2   1   √½
//   Bᵀ = 0   √2   -2  -√½   1   0      G = -1/3   √½/3   -1/6      A = 2  -√2   1  -√½
//        0  -√½  -1/2  √2   1   0           1/3   √2/3    2/3         1/2  √½   1   √2
//        0   √½  -1/2 -√2   1   0           1/3  -√2/3    2/3         1/2 -√½   1  -√2
//        0    1    0  -5/2  0   1            0      0      1           0    0   0    1
#pragma once

#include "kernels/cpu/simd.h"

namespace athanor::kernels::ATHANOR_ISA::winograd {

inline constexpr int kOutputs = 4;                    ///< a side of the tile that one transform writes
inline constexpr int kTaps = 3;                       ///< a side of the filter
inline constexpr int kInputs = kOutputs + kTaps - 1;  ///< a side of the tile that one transform reads
inline constexpr int kPositions = kInputs * kInputs;  ///< products a tile
inline constexpr float kRootHalf = 0.70710678118654752440f;
inline constexpr float kRootTwo = 1.41421356237309504880f;

/// x, in a register: read once from memory, however often it is used.
ATHANOR_INLINE Vec in_register(Vec x) {
#if defined(__AVX512F__)
  asm("" : "+v"(x));
#else
  asm("" : "+x"(x));
#endif
  return x;
}

/// t = Bᵀ d, [6] of [6].
ATHANOR_INLINE void transform_input(const Vec (&d)[kInputs], Vec (&t)[kInputs]) {
  const Vec even_a = fma(splat(-2.0f), d[2], d[4]), odd_a = fma(splat(-2.0f), d[1], d[3]);
  const Vec even_b = fma(splat(-0.5f), d[2], d[4]), odd_b = fma(splat(-0.5f), d[1], d[3]);
  t[0] = fma(splat(-2.5f), d[2], d[0] + d[4]);
  t[1] = fma(splat(kRootHalf), odd_a, even_a);
  t[2] = fma(splat(-kRootHalf), odd_a, even_a);
  t[3] = fma(splat(kRootTwo), odd_b, even_b);
  t[4] = fma(splat(-kRootTwo), odd_b, even_b);
  t[5] = fma(splat(-2.5f), d[3], d[1] + d[5]);
}

/// u = G g, [6] of [3].
ATHANOR_INLINE void transform_weights(const Vec (&g)[kTaps], Vec (&u)[kInputs]) {
  const Vec even_a = fma(splat(-1.0f / 6), g[2], splat(-1.0f / 3) * g[0]), odd_a = splat(-kRootHalf / 3) * g[1];
  const Vec even_b = fma(splat(2.0f / 3), g[2], splat(1.0f / 3) * g[0]), odd_b = splat(kRootTwo / 3) * g[1];
  u[0] = g[0];
  u[1] = even_a + odd_a;
  u[2] = even_a - odd_a;
  u[3] = even_b + odd_b;
  u[4] = even_b - odd_b;
  u[5] = g[2];
}

/// y = Aᵀ m, [4] of [6].
ATHANOR_INLINE void transform_output(const Vec (&m)[kInputs], Vec (&y)[kOutputs]) {
  const Vec sum_a = m[1] + m[2], difference_a = m[1] - m[2];
  const Vec sum_b = m[3] + m[4], difference_b = m[3] - m[4];
  y[0] = fma(splat(2.0f), sum_a, fma(splat(0.5f), sum_b, m[0]));
  y[1] = splat(kRootHalf) * fma(splat(2.0f), difference_a, difference_b);
  y[2] = sum_a + sum_b;
  y[3] = fma(splat(kRootHalf), fma(splat(2.0f), difference_b, difference_a), m[5]);
}

}  // namespace athanor::kernels::ATHANOR_ISA::winograd
