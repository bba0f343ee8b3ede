// exp, tanh, erf and their relatives on vectors: a few ulp, any input, NaN in NaN out. The polynomials interpolate at
// Chebyshev nodes; each comment states the relative error of the fit.
#pragma once

#include "kernels/cpu/simd.h"

namespace athanor::kernels::ATHANOR_ISA {

/// e^x = 2^n · e^r with |r| ≤ ln 2 / 2, e^r = 1 + r + r² · p(r) (fit of p: 1.4e-7, times r² / e^r).
ATHANOR_INLINE Vec exp(Vec x) {
  x = min(splat(89.0f), max(splat(-104.0f), x));  // beyond: infinity and zero; the order of arguments keeps NaN
  const Vec magic = splat(12582912.0f);           // 1.5 · 2^23: adding it rounds to an integer
  const Vec shifted = fma(x, splat(1.44269504f), magic);
  const Vec n = shifted - magic;
  const IVec power = reinterpret_cast<IVec>(shifted) - reinterpret_cast<IVec>(magic);
  Vec r = fma(n, splat(-0.693145752f), x);  // ln 2 in two parts; the first has trailing zeros, so n times it is exact
  r = fma(n, splat(-1.42860677e-6f), r);
  Vec p = splat(1.392618359e-3f);
  p = fma(p, r, splat(8.363179053e-3f));
  p = fma(p, r, splat(4.166655462e-2f));
  p = fma(p, r, splat(1.666657699e-1f));
  p = fma(p, r, splat(0.5f));
  p = fma(p * r, r, r) + 1.0f;
  // 2^n in two factors: n may lie outside the exponents of normal numbers.
  const IVec half = power >> 1;
  return p * reinterpret_cast<Vec>((half + 127) << 23) * reinterpret_cast<Vec>((power - half + 127) << 23);
}

ATHANOR_INLINE Vec sigmoid(Vec x) {
  return 1.0f / (1.0f + exp(-x));
}

/// Odd polynomial below 0.625 (fit 1.4e-7 of the part beyond x), 1 − 2 / (e^2|x| + 1) above.
ATHANOR_INLINE Vec tanh(Vec x) {
  const Vec z = x * x;
  Vec p = splat(-6.096714154e-3f);
  p = fma(p, z, splat(2.099717899e-2f));
  p = fma(p, z, splat(-5.385090958e-2f));
  p = fma(p, z, splat(1.333276974e-1f));
  p = fma(p, z, splat(-3.333332894e-1f));
  const Vec small = fma(p * z, x, x);
  const Vec large = copysign(1.0f - 2.0f / (exp(2.0f * abs(x)) + 1.0f), x);
  return abs(x) > 0.625f ? large : small;
}

/// Odd polynomial below 1 (fit 1.4e-9), 1 − e^(−t · q(t)) above (fit of q: 7.9e-8; beyond 4 the result is ±1).
ATHANOR_INLINE Vec erf(Vec x) {
  const Vec z = x * x;
  Vec p = splat(7.875875057e-5f);
  p = fma(p, z, splat(-8.016864285e-4f));
  p = fma(p, z, splat(5.189087423e-3f));
  p = fma(p, z, splat(-2.685421201e-2f));
  p = fma(p, z, splat(1.128359472e-1f));
  p = fma(p, z, splat(-3.761262667e-1f));
  p = fma(p, z, splat(1.128379166f));
  const Vec t = min(splat(4.0f), abs(x));
  Vec q = splat(-1.153853620e-6f);
  q = fma(q, t, splat(3.629133447e-5f));
  q = fma(q, t, splat(-5.128245781e-4f));
  q = fma(q, t, splat(4.359285899e-3f));
  q = fma(q, t, splat(-2.526721488e-2f));
  q = fma(q, t, splat(1.080256038e-1f));
  q = fma(q, t, splat(6.340272655e-1f));
  q = fma(q, t, splat(1.128938197f));
  const Vec large = copysign(1.0f - exp(-t * q), x);
  return abs(x) > 1.0f ? large : p * x;
}

}  // namespace athanor::kernels::ATHANOR_ISA
