// The weights' side of a Winograd convolution: U = G g Gᵀ for every pair of channels, as the products read it.
#pragma once

#include "kernels/cpu/winograd_blocking.h"

namespace athanor::kernels::ATHANOR_ISA::winograd {

/// Transposes in place. [kWidth] vectors; halves of blocks of 2, 4, … lanes are exchanged between the vectors.
ATHANOR_INLINE void transpose(Vec (&rows)[kWidth]) {
#pragma GCC unroll 4
  for (int half = kWidth / 2; half > 0; half /= 2) {
    IVec low, high;
#pragma GCC unroll 16
    for (int i = 0; i < kWidth; ++i) {
      low[i] = i & half ? kWidth + (i ^ half) : i;
      high[i] = i & half ? kWidth + i : i ^ half;
    }
#pragma GCC unroll 16
    for (int i = 0; i < kWidth; ++i) {
      if (i & half) continue;
      const Vec a = rows[i], b = rows[i + half];
      rows[i] = __builtin_shuffle(a, b, low);
      rows[i + half] = __builtin_shuffle(a, b, high);
    }
  }
}

/// The weights of one vector of outputs and one of channels as this call reads them, [3, 3, kWidth (C), kWidth (O)],
/// from those of the forward pass.
ATHANOR_INLINE void turn(const float* block, float* turned) {
  constexpr int kTap = kWidth * kWidth;
  for (int tap = kTapCount - 1; tap >= 0; --tap, block += kTap) {
    Vec rows[kWidth];
#pragma GCC unroll 16
    for (int i = 0; i < kWidth; ++i) rows[i] = load(block + i * kWidth);
    transpose(rows);
#pragma GCC unroll 16
    for (int i = 0; i < kWidth; ++i) store(turned + tap * kTap + i * kWidth, rows[i]);
  }
}

/// G g Gᵀ for one channel and kWidth outputs, into positions u_position floats apart.
ATHANOR_INLINE void transform_weight(const float* weight, float* u, std::int64_t u_position) {
  Vec half[kTaps][kInputs];
#pragma GCC unroll 3
  for (int j = 0; j < kTaps; ++j) {
    Vec g[kTaps];
#pragma GCC unroll 3
    for (int i = 0; i < kTaps; ++i) g[i] = load(weight + (i * kTaps + j) * kWidth * kWidth);
    transform_weights(g, half[j]);
  }
#pragma GCC unroll 6
  for (int i = 0; i < kInputs; ++i) {
    const Vec g[kTaps] = {half[0][i], half[1][i], half[2][i]};
    Vec t[kInputs];
    transform_weights(g, t);
#pragma GCC unroll 6
    for (int j = 0; j < kInputs; ++j) store(u + (i * kInputs + j) * u_position, t[j]);
  }
}

/// U of a slice of channels and the outputs of pair `pair`: [36][slice, vectors, kWidth].
inline void transform_filter(const WinogradConvolution& args, const Blocking& b, const Slice& slice, std::int64_t pair,
                             float* u) {
  constexpr std::int64_t kBlock = kTapCount * kWidth * kWidth;
  alignas(64) float turned[kBlock];
  for (std::int64_t group = slice.first; group < slice.first + slice.groups; ++group) {
    for (int q = 0; q < b.vectors; ++q) {
      const std::int64_t out = pair * b.vectors + q;
      float* target = u + ((group - slice.first) * kWidth * b.vectors + q) * kWidth;
      if (out >= b.out_groups) {
        for (int i = 0; i < kPositions * kWidth; ++i) {
          store(target + i / kWidth * slice.u_position + i % kWidth * b.vectors * kWidth, Vec{});
        }
        continue;
      }
      const float* weight =
          args.weight + (args.turned ? group * b.out_groups + out : out * b.in_groups + group) * kBlock;
      if (args.turned) {
        turn(weight, turned);
        weight = turned;
      }
      const float* next =
          args.weight + (args.turned ? (group + 1) * b.out_groups + out : out * b.in_groups + group + 1) * kBlock;
      for (int lane = 0; lane < kWidth; ++lane, weight += kWidth, next += kWidth, target += b.vectors * kWidth) {
        for (int tap = 0; tap < kTapCount; ++tap) __builtin_prefetch(next + tap * kWidth * kWidth);
        transform_weight(weight, target, slice.u_position);
      }
    }
  }
}

}  // namespace athanor::kernels::ATHANOR_ISA::winograd
