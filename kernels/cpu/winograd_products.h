// The products between the transforms: for one position of the 36, [tiles, C] · [C, O] for a few tiles and one or two
// vectors of outputs, whose sums stay in registers. Each sum runs over the channels in order, whatever the number of
// tiles.
#pragma once

#include <array>
#include <utility>

#include "kernels/cpu/winograd_transforms.h"

namespace athanor::kernels::ATHANOR_ISA::winograd {

/// Registers for sums: what is left by the weights' vectors and by one broadcast.
#if defined(__AVX512F__)
inline constexpr int kSums = 28;
#else
inline constexpr int kSums = 12;
#endif
/// Tiles whose sums fit when `vectors` (1 or 2) vectors of outputs are made of each.
inline constexpr int most_tiles(int vectors) {
  return kSums / vectors;
}

/// Channels of a slice, in vectors.
inline constexpr std::int64_t kSliceGroups = 128 / kWidth;

/// m[t, q] = Σ_c v[c, t] · u[c, q], q a vector of outputs; added to m with `add`.
struct Products {
  const float* v;  ///< [groups, tiles, kWidth]; consecutive groups are v_stride floats apart
  std::int64_t v_stride;
  const float* u;  ///< [groups · kWidth, kVectors, kWidth]
  float* m;        ///< [tiles, kVectors, kWidth]
  std::int64_t groups;
  bool add;
};

template <int kVectors, int kTiles>
void multiply(const Products& p) {
  Vec sum[kTiles][kVectors];
#pragma GCC unroll 32
  for (int t = 0; t < kTiles; ++t) {
#pragma GCC unroll 2
    for (int q = 0; q < kVectors; ++q) sum[t][q] = Vec{};
  }
  const float* u = p.u;
  const float* v = p.v;
  for (std::int64_t group = 0; group < p.groups; ++group, v += p.v_stride) {
#pragma GCC unroll 4
    for (int lane = 0; lane < kWidth; ++lane, u += kVectors * kWidth) {
      Vec weights[kVectors];
#pragma GCC unroll 2
      for (int q = 0; q < kVectors; ++q) weights[q] = load(u + q * kWidth);
#pragma GCC unroll 32
      for (int t = 0; t < kTiles; ++t) {
        const Vec x = broadcast(v + t * kWidth + lane);
#pragma GCC unroll 2
        for (int q = 0; q < kVectors; ++q) sum[t][q] = fma(x, weights[q], sum[t][q]);
      }
    }
  }
  if (p.add) {
#pragma GCC unroll 32
    for (int t = 0; t < kTiles; ++t) {
#pragma GCC unroll 2
      for (int q = 0; q < kVectors; ++q) sum[t][q] += load(p.m + (t * kVectors + q) * kWidth);
    }
  }
#pragma GCC unroll 32
  for (int t = 0; t < kTiles; ++t) {
#pragma GCC unroll 2
    for (int q = 0; q < kVectors; ++q) store(p.m + (t * kVectors + q) * kWidth, sum[t][q]);
  }
}

using Multiply = void (*)(const Products&);

template <int kVectors, int... kLess>
constexpr std::array<Multiply, sizeof...(kLess)> multiplications(std::integer_sequence<int, kLess...>) {
  return {multiply<kVectors, kLess + 1>...};
}

/// The loop for 1 ≤ tiles ≤ most_tiles(vectors).
inline Multiply multiplication(int vectors, std::int64_t tiles) {
  static constexpr auto kSingle = multiplications<1>(std::make_integer_sequence<int, most_tiles(1)>{});
  static constexpr auto kDouble = multiplications<2>(std::make_integer_sequence<int, most_tiles(2)>{});
  const auto index = static_cast<std::size_t>(tiles - 1);
  return vectors == 1 ? kSingle[index] : kDouble[index];
}

}  // namespace athanor::kernels::ATHANOR_ISA::winograd
