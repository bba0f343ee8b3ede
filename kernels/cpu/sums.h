// Sums over a contiguous range: blocks of 4,096 terms in float, two levels deep, then double. Fixed order, any caller.
#pragma once

#include "kernels/cpu/simd.h"

namespace athanor::kernels::ATHANOR_ISA {

/// Σ terms(i, Full or Partial) for i in [begin, end), which is at most a block. Terms of absent elements are dropped.
template <typename F>
ATHANOR_INLINE double sum_block(std::int64_t begin, std::int64_t end, F&& terms) {
  constexpr int kUnroll = 4, kRow = kUnroll * kWidth, kRun = 16 * kRow;  // 16 terms a level keep rounding errors small
  Vec sums[kUnroll]{};
  std::int64_t i = begin;
  while (i + kRow <= end) {
    const std::int64_t stop = i + kRun < end ? i + kRun : end;
    Vec run[kUnroll]{};
    for (; i + kRow <= stop; i += kRow) {
#pragma GCC unroll 4
      for (int k = 0; k < kUnroll; ++k) run[k] += terms(i + k * kWidth, Full{});
    }
#pragma GCC unroll 4
    for (int k = 0; k < kUnroll; ++k) sums[k] += run[k];
  }
  for_vectors(
      i, end, [&](std::int64_t j, auto part) __attribute__((always_inline)) {
        sums[0] += zero_beyond(terms(j, part), part);
      });
  float lanes[kWidth];
  store(lanes, (sums[0] + sums[1]) + (sums[2] + sums[3]));
  double wide[kWidth];
  for (int k = 0; k < kWidth; ++k) wide[k] = static_cast<double>(lanes[k]);
  for (int half = kWidth / 2; half > 0; half /= 2) {
    for (int k = 0; k < half; ++k) wide[k] += wide[k + half];
  }
  return wide[0];
}

/// The same over a range of any length.
template <typename F>
ATHANOR_INLINE double sum_range(std::int64_t begin, std::int64_t end, F&& terms) {
  double sum = 0;
  for (std::int64_t block = begin; block < end; block += 4096) {
    sum += sum_block(block, block + 4096 < end ? block + 4096 : end, terms);
  }
  return sum;
}

}  // namespace athanor::kernels::ATHANOR_ISA
