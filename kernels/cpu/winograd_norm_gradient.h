// The output's side of a Winograd convolution that makes the gradient of a batch norm's output: a residual, the mask of
// the norm's ReLU and the sums of its backward pass are done while a row of tiles is in the first-level cache.
#pragma once

#include "kernels/cpu/winograd_output.h"

namespace athanor::kernels::ATHANOR_ISA::winograd {

enum class NormMask { none, recomputed, from_output };

inline constexpr std::int64_t kBandTiles = 14;  ///< tiles of a row whose outputs are a fraction of a first-level cache

/// [kOutputs, tiles · kOutputs, kWidth]: the outputs of a run, those beyond the edge too.
using Band = float[kOutputs * kBandTiles * kOutputs * kWidth];

inline void transform_band(const float* m, const Blocking& b, std::int64_t tiles, float* band) {
  const std::int64_t line = tiles * kOutputs * kWidth;
  for (std::int64_t tile = 0; tile < tiles; ++tile, m += b.vectors * kWidth, band += kOutputs * kWidth) {
    transform_tile<true>(
        m, b.m_position, kOutputs,
        kOutputs, [&](Vec y, int i, int j) __attribute__((always_inline)) { store(band + i * line + j * kWidth, y); });
  }
}

/// Writes the outputs of pair `pair` for the tiles [begin, end), whose products are m: [36][tiles, vectors, kWidth].
/// What lies in memory is read and written in rows: several tensors read tile by tile come too late.
template <bool kResidual, NormMask kMask>
void transform_norm_gradient_tiles(const WinogradConvolution& args, const Blocking& b, std::int64_t pair,
                                   std::int64_t begin, std::int64_t end, const float* m, const OutputSums& to) {
  const WinogradNormGradient& norm = args.norm;
  alignas(64) Band band;
  for (int q = 0; q < b.vectors && pair * b.vectors + q < b.out_groups; ++q) {
    const std::int64_t group = pair * b.vectors + q, channel = group * kWidth;
    const Vec mean = load(norm.mean + channel);
    const Vec scale = kMask == NormMask::recomputed ? load(norm.scale + channel) : Vec{};
    const Vec shift = kMask == NormMask::recomputed ? load(norm.shift + channel) : Vec{};
    BatchSums sums;
    for_runs(b, begin, end, kBandTiles, [&](const Run& run) {
      transform_band(m + (run.slot * b.vectors + q) * kWidth, b, run.count, band);
      const TilePlace place(args.shape, b, group, run);
      const std::int64_t columns = std::min(place.left, run.count * kOutputs);
      const std::int64_t ahead = TilePlace(args.shape, b, group, run_behind(b, run)).first - place.first;
      const auto take = [ahead](const float* from) __attribute__((always_inline)) {
        __builtin_prefetch(from + ahead, 0, 2);
        return load(from);
      };
      for (std::int64_t row = 0; row < place.rows; ++row) {
        Vec sum{}, products{};
        const float* from = band + row * run.count * kOutputs * kWidth;
        std::int64_t at = place.first + row * place.line;
        for (std::int64_t column = 0; column < columns; ++column, from += kWidth, at += kWidth) {
          const Vec x = take(norm.x + at);
          Vec y = load(from);
          if (kResidual) y += take(args.residual + at);
          if (kMask == NormMask::recomputed) y = fma(x, scale, shift) <= 0.0f ? Vec{} : y;
          if (kMask == NormMask::from_output) y = take(norm.output + at) <= 0.0f ? Vec{} : y;
          store(args.y + at, y);
          sum += y;
          products = fma(y, x - mean, products);
        }
        sums.add(sum, products, columns);
      }
    });
    for (int i = 0; i < kWidth; ++i) {
      to.sums[channel + i] += sums.sum[i];
      to.squares[channel + i] += sums.squares[i];
    }
  }
}

}  // namespace athanor::kernels::ATHANOR_ISA::winograd
