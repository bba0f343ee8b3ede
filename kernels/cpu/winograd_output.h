// The output's side of a Winograd convolution: Y = Aᵀ M A for every tile, with bias, residual, ReLU and the sums that a
// batch norm behind it needs, while the tile is in registers. Outputs beyond the edge are dropped.
#pragma once

#include "kernels/cpu/winograd_blocking.h"

namespace athanor::kernels::ATHANOR_ISA::winograd {

/// One tile of one vector of outputs, whose 36 positions lie m_position floats apart. Calls visit(y, i, j) with the
/// outputs of the first `rows` rows and `columns` columns.
template <bool kWhole, typename Visit>
ATHANOR_INLINE void transform_tile(const float* m, std::int64_t m_position, std::int64_t rows, std::int64_t columns,
                                   const Visit& visit) {
  Vec half[kOutputs][kInputs];
#pragma GCC unroll 6
  for (int j = 0; j < kInputs; ++j) {
    Vec column[kInputs], t[kOutputs];
#pragma GCC unroll 6
    for (int i = 0; i < kInputs; ++i) column[i] = load(m + (i * kInputs + j) * m_position);
    transform_output(column, t);
#pragma GCC unroll 4
    for (int i = 0; i < kOutputs; ++i) half[i][j] = t[i];
  }
#pragma GCC unroll 4
  for (int i = 0; i < kOutputs; ++i) {
    if (!kWhole && i >= rows) break;
    Vec t[kOutputs];
    transform_output(half[i], t);
#pragma GCC unroll 4
    for (int j = 0; j < kOutputs; ++j) {
      if (!kWhole && j >= columns) break;
      visit(t[j], i, j);
    }
  }
}

/// What one thread knows of the sums of its outputs, [O] each.
struct OutputSums {
  double* sums;     ///< Σ y
  double* squares;  ///< Σ y²
  float* centres;   ///< near the mean of what comes next
  bool started;     ///< false: no centre is known yet
};

typedef double Doubles __attribute__((vector_size(kWidth * 8), may_alias));

/// Σ (y − k) and Σ (y − k)² of one vector of channels over a batch of tiles. The rounding errors of the latter stay
/// small as long as k lies near the mean, so k is the mean of the batch before. Floats are summed over a run, then in
/// double.
struct BatchSums {
  Doubles sum{}, squares{};
  double count = 0;

  /// Adds the float sums of `outputs` values a channel.
  [[gnu::always_inline]] void add(Vec s1, Vec s2, std::int64_t outputs) {
    sum += __builtin_convertvector(s1, Doubles);
    squares += __builtin_convertvector(s2, Doubles);
    count += static_cast<double>(outputs);
  }
  /// Moves the sums to the origin, adds them to those of the thread and makes the batch's mean the next centre.
  void merge(const OutputSums& to, std::int64_t channel) const {
    float* centre = to.centres + channel;
    for (int i = 0; i < kWidth; ++i) {
      const double k = static_cast<double>(centre[i]);
      to.sums[channel + i] += sum[i] + count * k;
      to.squares[channel + i] += squares[i] + 2 * k * sum[i] + count * k * k;
      centre[i] = static_cast<float>(k + sum[i] / count);
    }
  }
};

/// Where the tiles of a run lie in one vector of channels of y.
struct TilePlace {
  std::int64_t first;  ///< floats before the first tile
  std::int64_t line;   ///< floats of a row
  std::int64_t rows;   ///< rows of the tiles that exist
  std::int64_t left;   ///< columns from the first tile to the edge of the image
  std::int64_t count;  ///< tiles

  TilePlace(const WinogradShape& s, const Blocking& b, std::int64_t group, const Run& run) {
    line = s.out_width * kWidth;
    first =
        ((run.image * b.out_groups + group) * s.out_height + run.row * kOutputs) * line + run.first * kOutputs * kWidth;
    rows = std::min<std::int64_t>(kOutputs, s.out_height - run.row * kOutputs);
    left = s.out_width - run.first * kOutputs;
    count = run.count;
  }
  [[gnu::always_inline]] std::int64_t at(std::int64_t tile, int i, int j) const {
    return first + (tile * kOutputs + j) * kWidth + i * line;
  }
  [[gnu::always_inline]] std::int64_t columns(std::int64_t tile) const {
    return std::min<std::int64_t>(kOutputs, left - tile * kOutputs);
  }
  std::int64_t outputs() const { return rows * std::min(left, count * kOutputs); }
};

/// Writes the outputs of pair `pair` for the tiles [begin, end), whose products are m: [36][tiles, vectors, kWidth].
template <bool kResidual, bool kSums>
void transform_output_tiles(const WinogradConvolution& args, const Blocking& b, std::int64_t pair, std::int64_t begin,
                            std::int64_t end, const float* m, const OutputSums& output_sums) {
  const WinogradShape& s = args.shape;
  const Vec low = splat(args.relu ? 0.0f : -__builtin_inff());
  for (int q = 0; q < b.vectors && pair * b.vectors + q < b.out_groups; ++q) {
    const std::int64_t group = pair * b.vectors + q;
    const Vec bias = args.bias ? load(args.bias + group * kWidth) : Vec{};
    float* centre = output_sums.centres + group * kWidth;
    const auto value = [&](Vec y, std::int64_t at) __attribute__((always_inline)) {
      y += bias;
      if (kResidual) y += load(args.residual + at);
      return max(low, y);
    };
    if (kSums && !output_sums.started) {
      const Run run = run_at(b, begin, 1, 0);
      const TilePlace place(s, b, group, run);
      Vec total{};
      transform_tile<false>(
          m + q * kWidth, b.m_position, place.rows,
          place.columns(0), [&](Vec t, int i, int j) __attribute__((always_inline)) {
            total += value(t, place.at(0, i, j));
          });
      store(centre, total / splat(static_cast<float>(place.rows * place.columns(0))));
    }
    BatchSums sums;
    const Vec middle = kSums ? load(centre) : Vec{};
    for_runs(b, begin, end, b.tile_columns, [&](const Run& run) {
      const TilePlace place(s, b, group, run);
      const std::int64_t ahead = TilePlace(s, b, group, run_behind(b, run)).first - place.first;
      Vec sum{}, squares{};
      const float* from = m + (run.slot * b.vectors + q) * kWidth;
      for (std::int64_t tile = 0; tile < run.count; ++tile, from += b.vectors * kWidth) {
        const std::int64_t columns = place.columns(tile);
        const auto write = [&](Vec t, int i, int j) __attribute__((always_inline)) {
          const std::int64_t at = place.at(tile, i, j);
          const Vec y = value(t, at);
          __builtin_prefetch(args.y + at + ahead, 1, 2);
          store(args.y + at, y);
          if (kSums) {
            const Vec d = y - middle;
            sum += d;
            squares = fma(d, d, squares);
          }
        };
        if (place.rows == kOutputs && columns == kOutputs) {
          transform_tile<true>(from, b.m_position, place.rows, columns, write);
        } else {
          transform_tile<false>(from, b.m_position, place.rows, columns, write);
        }
      }
      if (kSums) sums.add(sum, squares, place.outputs());
    });
    if (kSums) sums.merge(output_sums, group * kWidth);
  }
}

}  // namespace athanor::kernels::ATHANOR_ISA::winograd
