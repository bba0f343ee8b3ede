// The input's side of a Winograd convolution: V = Bᵀ d B for every tile and channel, d what the tile reads, with
// relu(x · scale + shift) applied on the way in. Neighbours in a row share two of six columns, so a row of tiles is
// transformed down its columns first, once each, and then along its rows.
#pragma once

#include "kernels/cpu/winograd_blocking.h"

namespace athanor::kernels::ATHANOR_ISA::winograd {

inline constexpr std::int64_t kLongestRun = 14;  ///< tiles whose columns, transformed, are half of a first-level cache

/// Column c of a run, transformed: strip[6 c + i], i the row of the result.
using Strip = float[(kLongestRun * kOutputs + kTaps - 1) * kInputs * kWidth];

/// strip = Bᵀ of read(x, row) for `count` columns; rows: where each of the six begins.
template <typename Read>
ATHANOR_INLINE void transform_columns(const float* const (&rows)[kInputs], std::int64_t count, const Read& read,
                                      float* strip) {
  for (std::int64_t column = 0; column < count; ++column, strip += kInputs * kWidth) {
    Vec d[kInputs], t[kInputs];
#pragma GCC unroll 6
    for (int i = 0; i < kInputs; ++i) d[i] = in_register(read(load(rows[i] + column * kWidth), i));
    transform_input(d, t);
#pragma GCC unroll 6
    for (int i = 0; i < kInputs; ++i) store(strip + i * kWidth, t[i]);
  }
}

ATHANOR_INLINE void transform_rows(const float* strip, std::int64_t tiles, float* v, std::int64_t v_position) {
  for (std::int64_t tile = 0; tile < tiles; ++tile, strip += kOutputs * kInputs * kWidth, v += kWidth) {
#pragma GCC unroll 6
    for (int i = 0; i < kInputs; ++i) {
      Vec d[kInputs], t[kInputs];
#pragma GCC unroll 6
      for (int j = 0; j < kInputs; ++j) d[j] = in_register(load(strip + (j * kInputs + i) * kWidth));
      transform_input(d, t);
#pragma GCC unroll 6
      for (int j = 0; j < kInputs; ++j) store(v + (i * kInputs + j) * v_position, t[j]);
    }
  }
}

/// V of the tiles [begin, end): [36][blocks][C / kWidth][block][kWidth], positions v_position floats apart.
/// `zeros`: a row of the image, of zeros.
inline void transform_input_tiles(const WinogradConvolution& args, const Blocking& b, std::int64_t begin,
                                  std::int64_t end, const float* zeros, float* v) {
  const WinogradShape& s = args.shape;
  alignas(64) Strip strip;
  const Vec low = splat(args.in_relu ? 0.0f : -__builtin_inff());
  const auto transform = [&](const Run& run) {
    const std::int64_t top = run.row * kOutputs - s.pad_top, left = run.first * kOutputs - s.pad_left;
    const std::int64_t columns = run.count * kOutputs + kTaps - 1;
    const std::int64_t inside = std::clamp<std::int64_t>(-left, 0, columns);
    const std::int64_t outside = std::clamp<std::int64_t>(s.width - left, inside, columns);
    const auto clear = [&](std::int64_t first, std::int64_t last) {
      for (std::int64_t i = first * kInputs; i < last * kInputs; ++i) store(strip + i * kWidth, Vec{});
    };
    clear(0, inside);
    clear(outside, columns);
    for (std::int64_t group = 0; group < b.in_groups; ++group) {
      const float* image = args.x + (run.image * b.in_groups + group) * s.height * s.width * kWidth;
      const float* rows[kInputs];
      Vec shift[kInputs];
      for (int i = 0; i < kInputs; ++i) {
        const bool within = top + i >= 0 && top + i < s.height;
        rows[i] = within ? image + ((top + i) * s.width + left + inside) * kWidth : zeros;
        shift[i] = within && args.in_scale ? load(args.in_shift + group * kWidth) : Vec{};
      }
      float* columns_out = strip + inside * kInputs * kWidth;
      if (args.in_scale) {
        const Vec scale = load(args.in_scale + group * kWidth);
        transform_columns(
            rows, outside - inside,
            [&](Vec x, int i) __attribute__((always_inline)) { return max(low, fma(x, scale, shift[i])); },
            columns_out);
      } else {
        transform_columns(
            rows, outside - inside, [](Vec x, int) { return x; }, columns_out);
      }
      // a run may lie in two blocks
      for (std::int64_t done = 0; done < run.count;) {
        const std::int64_t slot = run.slot + done, within = slot % b.block;
        const std::int64_t tiles = std::min(run.count - done, b.block - within);
        transform_rows(strip + done * kOutputs * kInputs * kWidth, tiles,
                       v + ((slot / b.block * b.in_groups + group) * b.block + within) * kWidth, b.v_position);
        done += tiles;
      }
    }
  };
  for_runs(b, begin, end, kLongestRun, transform);
}

}  // namespace athanor::kernels::ATHANOR_ISA::winograd
