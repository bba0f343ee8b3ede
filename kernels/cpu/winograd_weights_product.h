// sums[c, o] += Σ over tiles t of x[t, c] · d[t, o]: the product at one position of Winograd's domain.
#pragma once

#include "kernels/cpu/simd.h"

namespace athanor::kernels::ATHANOR_ISA::winograd_weights {

/// kIn channels by kOut vectors of channels, in registers. x[tiles][kWidth]; d[kOut][tiles][kWidth], d_stride floats
/// from one to the next; sums[kOut][kIn][kWidth], sums_stride floats from one to the next.
template <int kIn, int kOut>
ATHANOR_INLINE void multiply(const float* x, const float* d, std::int64_t d_stride, std::int64_t tiles, float* sums,
                             std::int64_t sums_stride, bool first) {
  Vec acc[kIn][kOut]{};
  for (std::int64_t t = 0; t < tiles; ++t) {
    Vec dv[kOut];
#pragma GCC unroll 4
    for (int o = 0; o < kOut; ++o) dv[o] = load(d + o * d_stride + t * kWidth);
#pragma GCC unroll 16
    for (int c = 0; c < kIn; ++c) {
      const Vec xv = broadcast(x + t * kWidth + c);
#pragma GCC unroll 4
      for (int o = 0; o < kOut; ++o) acc[c][o] = fma(xv, dv[o], acc[c][o]);
    }
  }
#pragma GCC unroll 16
  for (int c = 0; c < kIn; ++c) {
#pragma GCC unroll 4
    for (int o = 0; o < kOut; ++o) {
      float* sum = sums + o * sums_stride + c * kWidth;
      store(sum, first ? acc[c][o] : load(sum) + acc[c][o]);
    }
  }
}

}  // namespace athanor::kernels::ATHANOR_ISA::winograd_weights
