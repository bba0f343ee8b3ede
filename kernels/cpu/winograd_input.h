// The input's side of a Winograd convolution: V = Bᵀ d B for every tile and channel, d what the tile reads, with
// relu(x · scale + shift) applied on the way in. Neighbours in a row share two of six columns, so a row of tiles is
// transformed down its columns first, once each, and then along its rows.
#pragma once

#include "kernels/cpu/winograd_blocking.h"

namespace athanor::kernels::ATHANOR_ISA::winograd {

inline constexpr std::int64_t kLongestRun = 14;  ///< tiles whose columns, transformed, are half of a first-level cache

/// Column c of a run, transformed: strip[6 c + i], i the row of the result.
using Strip = float[(kLongestRun * kOutputs + kTaps - 1) * kInputs * kWidth];

/// strip = Bᵀ of read(x, row) for `count` columns; rows: where each of the six begins. What will be read next lies
/// `ahead` floats from there; the first two rows of it have been read before.
template <typename Read>
ATHANOR_INLINE void transform_columns(const float* const (&rows)[kInputs], std::int64_t count, std::int64_t ahead,
                                      const Read& read, float* strip) {
  for (std::int64_t column = 0; column < count; ++column, strip += kInputs * kWidth) {
#pragma GCC unroll 4
    for (int i = kTaps - 1; i < kInputs; ++i) __builtin_prefetch(rows[i] + column * kWidth + ahead, 0, 2);
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

/// Which columns of a run lie in the image: [inside, outside) of `count`, the first being column `left` of the image.
struct Columns {
  std::int64_t left, count, inside, outside;

  Columns(const WinogradShape& s, const Run& run) {
    left = run.first * kOutputs - s.pad_left;
    count = run.count * kOutputs + kTaps - 1;
    inside = std::clamp<std::int64_t>(-left, 0, count);
    outside = std::clamp<std::int64_t>(s.width - left, inside, count);
  }
};

/// The strip of a run for one vector of channels, but for the columns outside the image.
inline void fill_strip(const WinogradConvolution& args, const Blocking& b, const Run& run, const Columns& columns,
                       std::int64_t group, const float* zeros, float* strip) {
  const WinogradShape& s = args.shape;
  const std::int64_t image_floats = s.height * s.width * kWidth;
  const float* image = args.x + (run.image * (s.in_channels / kWidth) + group) * image_floats;
  const float* rows[kInputs];
  Vec shift[kInputs];
  for (int i = 0; i < kInputs; ++i) {
    const std::int64_t row = run.row * kOutputs - s.pad_top + i;
    const bool within = row >= 0 && row < s.height;
    rows[i] = within ? image + (row * s.width + columns.left + columns.inside) * kWidth : zeros;
    shift[i] = within && args.in_scale ? load(args.in_shift + group * kWidth) : Vec{};
  }
  const std::int64_t count = columns.outside - columns.inside;
  // the same columns of the next vector of channels or, after the last, of the run behind
  const Run next = group + 1 < b.in_groups ? run : run_behind(b, run);
  const std::int64_t next_group = (group + 1) % b.in_groups;
  const std::int64_t ahead = ((next.image - run.image) * b.in_groups + next_group - group) * image_floats +
                             ((next.row - run.row) * s.width + next.first - run.first) * kOutputs * kWidth;
  strip += columns.inside * kInputs * kWidth;
  if (args.in_scale) {
    const Vec scale = load(args.in_scale + group * kWidth), low = splat(args.in_relu ? 0.0f : -__builtin_inff());
    const auto read = [&](Vec x, int i) __attribute__((always_inline)) {
      return max(low, fma(x, scale, shift[i]));
    };
    transform_columns(rows, count, ahead, read, strip);
  } else {
    const auto read = [](Vec x, int) __attribute__((always_inline)) {
      return x;
    };
    transform_columns(rows, count, ahead, read, strip);
  }
}

/// V of the tiles [begin, end): for each of the 36 positions and each slice of channels
/// [blocks][groups of the slice][block][kWidth]. `zeros`: a row of the image, of zeros.
inline void transform_input_tiles(const WinogradConvolution& args, const Blocking& b, std::int64_t begin,
                                  std::int64_t end, const float* zeros, float* v) {
  alignas(64) Strip strip;
  for_runs(b, begin, end, kLongestRun, [&](const Run& run) {
    const Columns columns(args.shape, run);
    std::fill(strip, strip + columns.inside * kInputs * kWidth, 0.0f);
    std::fill(strip + columns.outside * kInputs * kWidth, strip + columns.count * kInputs * kWidth, 0.0f);
    for_slices(b, [&](const Slice& slice) {
      for (std::int64_t group = 0; group < slice.groups; ++group) {
        fill_strip(args, b, run, columns, slice.first + group, zeros, strip);
        // a run may lie in two blocks
        for (std::int64_t done = 0; done < run.count;) {
          const std::int64_t slot = run.slot + done, within = slot % b.block;
          const std::int64_t tiles = std::min(run.count - done, b.block - within);
          transform_rows(strip + done * kOutputs * kInputs * kWidth, tiles,
                         v + slice.v + ((slot / b.block * slice.groups + group) * b.block + within) * kWidth,
                         b.v_position);
          done += tiles;
        }
      }
    });
  });
}

}  // namespace athanor::kernels::ATHANOR_ISA::winograd
