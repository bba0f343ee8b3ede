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

/// Weights of one pair of output vectors as this call reads them: [C / kWidth, vectors][3, 3, kWidth (C), kWidth (O)].
inline void turn_filter(const WinogradConvolution& args, const Blocking& b, std::int64_t pair, float* turned) {
  constexpr std::int64_t kTapFloats = kWidth * kWidth;
  for (std::int64_t group = 0; group < b.in_groups; ++group) {
    for (std::int64_t out = pair * b.vectors; out < (pair + 1) * b.vectors; ++out) {
      const float* block = args.weight + (group * b.out_groups + out) * kTapCount * kTapFloats;
      for (int tap = kTapCount - 1; tap >= 0 && out < b.out_groups; --tap, block += kTapFloats) {
        Vec rows[kWidth];
#pragma GCC unroll 16
        for (int i = 0; i < kWidth; ++i) rows[i] = load(block + i * kWidth);
        transpose(rows);
#pragma GCC unroll 16
        for (int i = 0; i < kWidth; ++i) store(turned + tap * kTapFloats + i * kWidth, rows[i]);
      }
      turned += kTapCount * kTapFloats;
    }
  }
}

/// Rows [kFirst, kFirst + kRows) of the 6×6 positions of U, for one channel and kWidth outputs.
template <int kFirst, int kRows>
ATHANOR_INLINE void transform_filter_rows(const float* weight, float* u, std::int64_t position) {
  Vec half[kTaps][kInputs];
#pragma GCC unroll 3
  for (int j = 0; j < kTaps; ++j) {
    Vec g[kTaps];
#pragma GCC unroll 3
    for (int i = 0; i < kTaps; ++i) g[i] = load(weight + (i * kTaps + j) * kWidth * kWidth);
    transform_weights(g, half[j]);
  }
#pragma GCC unroll 6
  for (int i = 0; i < kRows; ++i) {
    const Vec g[kTaps] = {half[0][kFirst + i], half[1][kFirst + i], half[2][kFirst + i]};
    Vec t[kInputs];
    transform_weights(g, t);
#pragma GCC unroll 6
    for (int j = 0; j < kInputs; ++j) store(u + (i * kInputs + j) * position, t[j]);
  }
}

/// U of some rows of positions for the outputs of a pair: [kRows, 6][C, vectors, kWidth]; `turned`: room for
/// turn_filter.
template <int kFirst, int kRows>
void transform_filter(const WinogradConvolution& args, const Blocking& b, std::int64_t pair, const float* turned,
                      float* u) {
  constexpr std::int64_t kBlock = kTapCount * kWidth * kWidth;
  const std::int64_t position = args.shape.in_channels * b.vectors * kWidth;
  for (std::int64_t group = 0; group < b.in_groups; ++group) {
    for (int q = 0; q < b.vectors; ++q) {
      const std::int64_t out = pair * b.vectors + q;
      float* target = u + (group * kWidth * b.vectors + q) * kWidth;
      const float* weight =
          args.turned ? turned + (group * b.vectors + q) * kBlock : args.weight + (out * b.in_groups + group) * kBlock;
      for (int lane = 0; lane < kWidth; ++lane, weight += kWidth, target += b.vectors * kWidth) {
        if (out < b.out_groups) {
          transform_filter_rows<kFirst, kRows>(weight, target, position);
        } else {
          for (int i = 0; i < kRows * kInputs; ++i) store(target + i * position, Vec{});
        }
      }
    }
  }
}

}  // namespace athanor::kernels::ATHANOR_ISA::winograd
