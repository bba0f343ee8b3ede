// How a Winograd convolution is cut: tiles into blocks that one product takes, blocks into batches whose transformed
// values stay in the cache, and which part of the scratch holds what.
#pragma once

#include <algorithm>

#include "kernels/cpu/winograd_products.h"
#include "kernels/winograd.h"

namespace athanor::kernels::ATHANOR_ISA::winograd {

inline constexpr int kTapCount = kTaps * kTaps;

inline constexpr std::int64_t divide_up(std::int64_t a, std::int64_t b) {
  return (a + b - 1) / b;
}

/// An odd number of cache lines: the 36 positions of a tile then lie in different sets of the first-level cache.
inline constexpr std::int64_t odd_lines(std::int64_t floats) {
  constexpr std::int64_t kLine = 16;
  return (divide_up(floats, kLine) | 1) * kLine;
}

/// Transformed weights of at most so many bytes are made once a call and stay in the second-level cache (1 MB); those
/// of more are made for a slice of channels and a pair of output vectors at a time, for each batch of tiles.
inline constexpr std::int64_t kResidentBytes = 640 << 10;
/// What the transformed values of a batch may take beside resident weights.
inline constexpr std::int64_t kBatchBytes = 256 << 10;
/// What the transformed input of a batch may take that is read once for every pair: a share of the third-level cache.
inline constexpr std::int64_t kStreamedBytes = 6 << 20;
inline constexpr std::int64_t kLargestBatch = 168;

struct Blocking {
  std::int64_t tile_rows, tile_columns;  ///< tiles of an image
  std::int64_t tiles;                    ///< of all images
  std::int64_t in_groups, out_groups;    ///< vectors of channels
  int vectors;                           ///< vectors of outputs made at once, 1 or 2
  bool resident;                         ///< weights are transformed once a call
  bool in_place;        ///< products lie where what they were made of lay, which every one has read by then
  std::int64_t batch;   ///< most tiles at a time
  std::int64_t block;   ///< most tiles of a product
  std::int64_t padded;  ///< tiles of a batch, in whole blocks

  std::int64_t v_position;    ///< floats between positions of the transformed input
  std::int64_t m_position;    ///< and of the products
  std::int64_t slices;        ///< of the channels
  std::int64_t slice_floats;  ///< of the weights of a slice and a pair
  std::int64_t v_floats, m_floats, u_floats, zero_floats, sum_floats;

  std::int64_t floats() const { return v_floats + m_floats + u_floats + zero_floats + sum_floats; }
};

inline Blocking blocking_of(const WinogradShape& s, int threads) {
  Blocking b;
  b.tile_rows = divide_up(s.out_height, kOutputs);
  b.tile_columns = divide_up(s.out_width, kOutputs);
  b.tiles = s.batch * b.tile_rows * b.tile_columns;
  b.in_groups = s.in_channels / kWidth;
  b.out_groups = s.out_channels / kWidth;
  b.vectors = b.out_groups > 1 ? 2 : 1;
  const std::int64_t pairs = divide_up(b.out_groups, b.vectors), pair_width = b.vectors * kWidth;
  const std::int64_t all_weights = kPositions * s.in_channels * pairs * pair_width;
  b.resident = all_weights * 4 <= kResidentBytes;
  b.in_place = pairs == 1 && b.in_groups >= b.vectors && b.in_groups <= kSliceGroups;
  const std::int64_t in_bytes = kPositions * 4 * s.in_channels;
  const std::int64_t bytes = in_bytes + (b.in_place ? 0 : kPositions * 4 * pair_width);
  const std::int64_t most = std::clamp<std::int64_t>(b.resident ? kBatchBytes / bytes : kStreamedBytes / in_bytes,
                                                     most_tiles(b.vectors), kLargestBatch);
  // even batches of even blocks
  const std::int64_t part = divide_up(b.tiles, std::max(threads, 1));
  b.batch = divide_up(part, divide_up(part, most));
  const std::int64_t blocks = divide_up(b.batch, most_tiles(b.vectors));
  b.block = divide_up(b.batch, blocks);
  b.padded = blocks * b.block;
  b.v_position = odd_lines(b.padded * s.in_channels);
  b.m_position = b.in_place ? b.v_position : odd_lines(b.batch * pair_width);
  b.v_floats = kPositions * b.v_position;
  b.m_floats = b.in_place ? 0 : kPositions * b.m_position;
  b.slices = divide_up(b.in_groups, kSliceGroups);
  b.slice_floats = kPositions * odd_lines(std::min(b.in_groups, kSliceGroups) * kWidth * pair_width);
  b.u_floats = b.slice_floats * (b.resident ? pairs * b.slices : 1);
  b.zero_floats = odd_lines(s.width * kWidth);
  b.sum_floats = odd_lines(5 * s.out_channels);
  return b;
}

/// Some of the channels, in vectors, and where their weights lie.
struct Slice {
  std::int64_t index, first, groups;
  std::int64_t v;           ///< floats before its transformed input
  std::int64_t u_position;  ///< floats from the weights of one position to those of the next
};

/// Calls visit(Slice) for all channels.
template <typename F>
ATHANOR_INLINE void for_slices(const Blocking& b, F&& visit) {
  for (std::int64_t index = 0; index < b.slices; ++index) {
    const std::int64_t first = index * kSliceGroups, groups = std::min(kSliceGroups, b.in_groups - first);
    visit(Slice{index, first, groups, first * b.padded * kWidth, odd_lines(groups * kWidth * b.vectors * kWidth)});
  }
}

/// Some tiles in a row: [first, first + count) of row `row` of image `image`, the slots [slot, slot + count) of a
/// batch.
struct Run {
  std::int64_t image, row, first, count, slot;
};

inline Run run_at(const Blocking& b, std::int64_t tile, std::int64_t most, std::int64_t slot) {
  const std::int64_t column = tile % b.tile_columns, line = tile / b.tile_columns;
  return {line / b.tile_rows, line % b.tile_rows, column, std::min(b.tile_columns - column, most), slot};
}

/// Where the tiles behind a run begin, for who fetches them ahead; behind the last ones nowhere else than there.
inline Run run_behind(const Blocking& b, const Run& run) {
  const std::int64_t tile = (run.image * b.tile_rows + run.row) * b.tile_columns + run.first + run.count;
  return tile < b.tiles ? run_at(b, tile, run.count, 0) : run;
}

/// Calls visit(Run) for the tiles [begin, end), at most `longest` at a time.
template <typename F>
ATHANOR_INLINE void for_runs(const Blocking& b, std::int64_t begin, std::int64_t end, std::int64_t longest, F&& visit) {
  for (std::int64_t tile = begin; tile < end;) {
    const Run run = run_at(b, tile, std::min(end - tile, longest), tile - begin);
    visit(run);
    tile += run.count;
  }
}

}  // namespace athanor::kernels::ATHANOR_ISA::winograd
