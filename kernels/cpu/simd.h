// The vectors that the CPU kernels compute with: as wide as the instruction set of this compilation. GCC's vector
// extension gives the operators; what it lacks (loads of either element type, masked tails, fma, rounding to bfloat16)
// is here. Everything lives in the namespace of the instruction set, so no code compiled for one leaks into another.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

#include "base/dtype.h"

namespace athanor::kernels::ATHANOR_ISA {

#if defined(__AVX512F__)
inline constexpr int kWidth = 16;
#elif defined(__AVX2__)
inline constexpr int kWidth = 8;
#else
inline constexpr int kWidth = 4;
#endif

#define ATHANOR_INLINE [[gnu::always_inline]] static inline

typedef float Vec __attribute__((vector_size(kWidth * 4), may_alias));
typedef std::int32_t IVec __attribute__((vector_size(kWidth * 4), may_alias));
typedef std::uint32_t UVec __attribute__((vector_size(kWidth * 4), may_alias));
typedef std::uint16_t HVec __attribute__((vector_size(kWidth * 2), may_alias));

ATHANOR_INLINE Vec splat(float value) {
  return Vec{} + value;
}

/// *p in every lane, in one load. (Adding to zero, as splat does, turns −0 into 0, so the compiler keeps the addition.)
ATHANOR_INLINE Vec broadcast(const float* p) {
#if defined(__AVX512F__)
  return _mm512_set1_ps(*p);
#elif defined(__AVX2__)
  return _mm256_broadcast_ss(p);
#else
  return _mm_set1_ps(*p);
#endif
}

ATHANOR_INLINE IVec iota() {
  IVec v;
  for (int i = 0; i < kWidth; ++i) v[i] = i;
  return v;
}

/// a · b + c, in one rounding where the instruction set has it; never left to the compiler's choice, so that two
/// kernels that compute the same expression get the same bits.
ATHANOR_INLINE Vec fma(Vec a, Vec b, Vec c) {
#if defined(__AVX512F__)
  return _mm512_fmadd_ps(a, b, c);
#elif defined(__AVX2__)
  return _mm256_fmadd_ps(a, b, c);
#else
  return a * b + c;
#endif
}

/// The larger one; `b` where either is NaN.
ATHANOR_INLINE Vec max(Vec a, Vec b) {
  return a > b ? a : b;
}
/// The smaller one; `b` where either is NaN.
ATHANOR_INLINE Vec min(Vec a, Vec b) {
  return a < b ? a : b;
}
ATHANOR_INLINE Vec abs(Vec a) {
  return reinterpret_cast<Vec>(reinterpret_cast<UVec>(a) & 0x7fffffffu);
}
/// |a| with the sign of b.
ATHANOR_INLINE Vec copysign(Vec a, Vec b) {
  return reinterpret_cast<Vec>((reinterpret_cast<UVec>(a) & 0x7fffffffu) | (reinterpret_cast<UVec>(b) & 0x80000000u));
}

ATHANOR_INLINE Vec widen(HVec h) {
  return reinterpret_cast<Vec>(__builtin_convertvector(h, UVec) << 16);
}
/// Rounds to nearest, ties to even; NaN stays NaN (as BFloat16's constructor).
ATHANOR_INLINE HVec narrow(Vec v) {
  const UVec raw = reinterpret_cast<UVec>(v);
  const UVec rounded = (raw + 0x7fffu + ((raw >> 16) & 1u)) >> 16;
  const UVec quiet = (raw >> 16) | 0x40u;
  const auto is_nan = (raw & 0x7fffffffu) > (UVec{} + 0x7f800000u);
  return __builtin_convertvector(is_nan ? quiet : rounded, HVec);
}

ATHANOR_INLINE Vec load(const float* p) {
  Vec v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
ATHANOR_INLINE Vec load(const BFloat16* p) {
  HVec h;
  std::memcpy(&h, p, sizeof h);
  return widen(h);
}
ATHANOR_INLINE void store(float* p, Vec v) {
  std::memcpy(p, &v, sizeof v);
}
ATHANOR_INLINE void store(BFloat16* p, Vec v) {
  const HVec h = narrow(v);
  std::memcpy(&p->bits, &h, sizeof h);
}

/// The first `count` < kWidth elements; the others are zero.
ATHANOR_INLINE Vec load(const float* p, int count) {
#if defined(__AVX512F__)
  return _mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << count) - 1u), p);
#else
  Vec v{};
  for (int i = 0; i < count; ++i) v[i] = p[i];
  return v;
#endif
}
ATHANOR_INLINE Vec load(const BFloat16* p, int count) {
  HVec h{};
  for (int i = 0; i < count; ++i) h[i] = p[i].bits;
  return widen(h);
}
ATHANOR_INLINE void store(float* p, Vec v, int count) {
#if defined(__AVX512F__)
  _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1u << count) - 1u), v);
#else
  for (int i = 0; i < count; ++i) p[i] = v[i];
#endif
}
ATHANOR_INLINE void store(BFloat16* p, Vec v, int count) {
  const HVec h = narrow(v);
  for (int i = 0; i < count; ++i) p[i].bits = h[i];
}

/// How many elements a visit covers: all kWidth, known when compiling, or fewer.
struct Full {};
struct Partial {
  int count;
};
template <typename T>
ATHANOR_INLINE Vec load(const T* p, Full) {
  return load(p);
}
template <typename T>
ATHANOR_INLINE Vec load(const T* p, Partial part) {
  return load(p, part.count);
}
template <typename T>
ATHANOR_INLINE void store(T* p, Vec v, Full) {
  store(p, v);
}
template <typename T>
ATHANOR_INLINE void store(T* p, Vec v, Partial part) {
  store(p, v, part.count);
}
ATHANOR_INLINE IVec load_integers(const std::int32_t* p, Full) {
  IVec v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
ATHANOR_INLINE IVec load_integers(const std::int32_t* p, Partial part) {
  IVec v{};
  for (int i = 0; i < part.count; ++i) v[i] = p[i];
  return v;
}
ATHANOR_INLINE void store_integers(std::int32_t* p, IVec v, Full) {
  std::memcpy(p, &v, sizeof v);
}
ATHANOR_INLINE void store_integers(std::int32_t* p, IVec v, Partial part) {
  for (int i = 0; i < part.count; ++i) p[i] = v[i];
}
ATHANOR_INLINE Vec zero_beyond(Vec v, Full) {
  return v;
}
ATHANOR_INLINE Vec zero_beyond(Vec v, Partial part) {
  return iota() < part.count ? v : Vec{};
}

/// Calls visit(i, Full or Partial) for vectors that cover [begin, end).
template <typename F>
ATHANOR_INLINE void for_vectors(std::int64_t begin, std::int64_t end, F&& visit) {
  std::int64_t i = begin;
  for (; i + kWidth <= end; i += kWidth) visit(i, Full{});
  if (i < end) visit(i, Partial{static_cast<int>(end - i)});
}

/// Sum of the elements, halves first.
ATHANOR_INLINE float sum_of(Vec v) {
  float lane[kWidth];
  std::memcpy(lane, &v, sizeof v);
  for (int half = kWidth / 2; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) lane[i] += lane[i + half];
  }
  return lane[0];
}

ATHANOR_INLINE float to_float(float value) {
  return value;
}
ATHANOR_INLINE float to_float(BFloat16 value) {
  const std::uint32_t raw = static_cast<std::uint32_t>(value.bits) << 16;
  float result;
  std::memcpy(&result, &raw, sizeof result);
  return result;
}
ATHANOR_INLINE void put(float& target, float value) {
  target = value;
}
ATHANOR_INLINE void put(BFloat16& target, float value) {
  std::uint32_t raw;
  std::memcpy(&raw, &value, sizeof raw);
  const bool is_nan = (raw & 0x7fffffffu) > 0x7f800000u;
  target.bits = static_cast<std::uint16_t>(is_nan ? (raw >> 16) | 0x40u : (raw + 0x7fffu + ((raw >> 16) & 1u)) >> 16);
}

/// Calls run with a null pointer to the element type of `dtype`: float or BFloat16.
template <typename F>
ATHANOR_INLINE void with_type(DType dtype, F&& run) {
  if (dtype == DType::bf16) {
    run(static_cast<BFloat16*>(nullptr));
  } else {
    run(static_cast<float*>(nullptr));
  }
}

}  // namespace athanor::kernels::ATHANOR_ISA
