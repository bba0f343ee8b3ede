// How kernels cut a matrix [rows, channels], channels innermost, into blocks of threads: a thread has a few
// neighbouring channels (16 bytes where the sizes allow) and walks down rows. The cut depends on the shape alone, never
// on the GPU, so that sums over rows have the same bits on every model. Plain C++: the framework sizes scratch memory
// with it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/dtype.h"

namespace athanor::kernels::cuda {

inline constexpr int kColumnThreads = 256;
/// Most threads side by side along the channels.
inline constexpr int kMostAcross = 32;

struct ColumnGrid {
  std::int64_t rows = 0;
  std::int64_t channels = 0;
  int vector = 1;  ///< channels of a thread
  int across = 1;  ///< threads side by side along the channels, ≤ kMostAcross
  int down = 1;    ///< rows that a block reads at a time; across · down ≤ kColumnThreads
  int tiles = 1;   ///< blocks along the channels
  int slices = 1;  ///< blocks along the rows: slice s has the row bands s, s + slices, …
};

/// Blocks of a pass whose threads need few registers, 4 on each of an H100's 132 multiprocessors, and of one whose
/// threads need up to 128, 2 on each.
inline constexpr std::int64_t kColumnBlocks = 528;
inline constexpr std::int64_t kWideColumnBlocks = 264;
/// Rows that a thread should have at least, so that adding up the slices stays cheap.
inline constexpr std::int64_t kLeastRowsOfThread = 4;

/// `can_vectorize`: all pointers are aligned to 16 bytes.
inline ColumnGrid column_grid(DType dtype, std::int64_t rows, std::int64_t channels, bool can_vectorize,
                              std::int64_t blocks = kColumnBlocks, std::int64_t most_across = kMostAcross) {
  ColumnGrid grid{.rows = rows, .channels = channels};
  const auto widest = static_cast<int>(16 / size_of(dtype));
  grid.vector = can_vectorize && channels % widest == 0 ? widest : 1;
  const std::int64_t columns = channels / grid.vector, tiles = (columns + most_across - 1) / most_across;
  grid.tiles = static_cast<int>(tiles);
  grid.across = static_cast<int>((columns + tiles - 1) / tiles);
  grid.down = kColumnThreads / grid.across;
  const std::int64_t wanted = rows / (grid.down * kLeastRowsOfThread), most = blocks / tiles;
  const std::int64_t slices = wanted < most ? wanted : most;
  grid.slices = static_cast<int>(slices < 1 ? 1 : slices);
  return grid;
}

/// Up to here a matrix is small: a launch costs about what a pass over it does, so a pass that writes adds up the
/// slices itself, each block those of its own channels.
inline constexpr std::int64_t kSmallMatrixBytes = std::int64_t{8} << 20;
inline bool is_small_matrix(DType dtype, std::int64_t rows, std::int64_t channels) {
  return rows * channels * static_cast<std::int64_t>(size_of(dtype)) <= kSmallMatrixBytes;
}

/// Bytes of a row that a tile of a small matrix has: a sector of the caches. Narrow tiles have many rows a block, so
/// that few slices, times the tiles, are enough blocks.
inline constexpr std::int64_t kSmallTileBytes = 32;
/// Most channels of such a tile.
inline constexpr int kSmallTileChannels = 16;
/// Most slices times channels of a tile: of two quantities a thread of the writing pass reads 16 sums then, all of them
/// in flight at once.
inline constexpr std::int64_t kMostSmallSums = 2048;

/// The cut of a small matrix: never more slices than in the grids above.
inline ColumnGrid small_column_grid(DType dtype, std::int64_t rows, std::int64_t channels, bool can_vectorize) {
  const auto size = static_cast<std::int64_t>(size_of(dtype));
  const bool vectorizes = can_vectorize && channels % (16 / size) == 0;
  const std::int64_t across = kSmallTileBytes / (vectorizes ? 16 : size);
  ColumnGrid grid = column_grid(dtype, rows, channels, can_vectorize, kWideColumnBlocks, across);
  const std::int64_t most = kMostSmallSums / (grid.across * grid.vector);
  if (grid.slices > most) grid.slices = static_cast<int>(most);
  return grid;
}

/// Bytes of the partial sums of `quantities` sums of each channel, in any of the grids above.
inline std::size_t column_scratch_bytes(DType dtype, std::int64_t rows, std::int64_t channels, int quantities) {
  std::size_t largest = 0;
  for (const bool can_vectorize : {false, true}) {
    const ColumnGrid grid = column_grid(dtype, rows, channels, can_vectorize);
    const auto slices = static_cast<std::size_t>(grid.slices);
    const std::size_t bytes = slices * static_cast<std::size_t>(quantities * channels) * sizeof(double);
    largest = bytes > largest ? bytes : largest;
  }
  return largest;
}

}  // namespace athanor::kernels::cuda
