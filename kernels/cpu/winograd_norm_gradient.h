// The output's side of a Winograd convolution that makes the gradient of a batch norm's output: a residual, the mask of
// the norm's ReLU and the sums of its backward pass are done while a tile is in registers.
#pragma once

#include "kernels/cpu/winograd_output.h"

namespace athanor::kernels::ATHANOR_ISA::winograd {

enum class NormMask { none, recomputed, from_output };

/// Writes the outputs of pair `pair` for the tiles [begin, end), whose products are m: [36][tiles, vectors, kWidth].
template <bool kResidual, NormMask kMask>
void transform_norm_gradient_tiles(const WinogradConvolution& args, const Blocking& b, std::int64_t pair,
                                   std::int64_t begin, std::int64_t end, const float* m, const OutputSums& to) {
  const WinogradNormGradient& norm = args.norm;
  for (int q = 0; q < b.vectors && pair * b.vectors + q < b.out_groups; ++q) {
    const std::int64_t group = pair * b.vectors + q, channel = group * kWidth;
    const Vec mean = load(norm.mean + channel);
    const Vec scale = kMask == NormMask::recomputed ? load(norm.scale + channel) : Vec{};
    const Vec shift = kMask == NormMask::recomputed ? load(norm.shift + channel) : Vec{};
    BatchSums sums;
    for_runs(b, begin, end, b.tile_columns, [&](const Run& run) {
      const TilePlace place(args.shape, b, group, run);
      const std::int64_t ahead = TilePlace(args.shape, b, group, run_behind(b, run)).first - place.first;
      const auto take = [ahead](const float* from) __attribute__((always_inline)) {
        __builtin_prefetch(from + ahead, 0, 2);
        return load(from);
      };
      Vec sum{}, products{};
      const float* from = m + (run.slot * b.vectors + q) * kWidth;
      for (std::int64_t tile = 0; tile < run.count; ++tile, from += b.vectors * kWidth) {
        const std::int64_t columns = place.columns(tile);
        const auto write = [&](Vec y, int i, int j) __attribute__((always_inline)) {
          const std::int64_t at = place.at(tile, i, j);
          const Vec x = take(norm.x + at);
          if (kResidual) y += take(args.residual + at);
          if (kMask == NormMask::recomputed) y = fma(x, scale, shift) <= 0.0f ? Vec{} : y;
          if (kMask == NormMask::from_output) y = take(norm.output + at) <= 0.0f ? Vec{} : y;
          store(args.y + at, y);
          sum += y;
          products = fma(y, x - mean, products);
        };
        if (place.rows == kOutputs && columns == kOutputs) {
          transform_tile<true>(from, b.m_position, place.rows, columns, write);
        } else {
          transform_tile<false>(from, b.m_position, place.rows, columns, write);
        }
      }
      sums.add(sum, products, place.outputs());
    });
    for (int i = 0; i < kWidth; ++i) {
      to.sums[channel + i] += sums.sum[i];
      to.squares[channel + i] += sums.squares[i];
    }
  }
}

}  // namespace athanor::kernels::ATHANOR_ISA::winograd
