// Sums over the rows of a matrix, for kernels: each thread brings the sums of its own rows, and the block adds them up
// in double; a small kernel behind adds up the blocks'. The order of the additions depends on the shape alone. Code of
// kernels: include it in .cu files only.
#pragma once

#include "kernels/cuda/column_grid.h"
#include "kernels/cuda/row_pack.h"
#include "kernels/cuda/thread_model.h"

namespace athanor::kernels::cuda {

/// Where a thread stands in its block: channels [channel, channel + vector) and rows `down`, down + grid.down, …
struct ColumnPlace {
  int across;
  int down;
  std::int64_t channel;
  bool works;  ///< false: the block has no channels for this thread
};

ATHANOR_DEVICE ColumnPlace column_place(const ColumnGrid& grid) {
  const int thread = static_cast<int>(threadIdx.x);
  ColumnPlace place;
  place.down = thread / grid.across;
  place.across = thread - place.down * grid.across;
  place.channel = (static_cast<std::int64_t>(blockIdx.x) * grid.across + place.across) * grid.vector;
  place.works = place.down < grid.down && place.channel < grid.channels;
  return place;
}

/// Calls visit(first row, rows present) for each band of the block's slice: the thread has rows first, first +
/// grid.down, … of kUnroll. All are present in every band but the last.
template <int kUnroll, typename Visit>
ATHANOR_DEVICE void for_bands(const ColumnGrid& grid, const ColumnPlace& place, Visit visit) {
  const std::int64_t band = static_cast<std::int64_t>(grid.down) * kUnroll, step = band * grid.slices;
  for (std::int64_t base = blockIdx.y * band; base < grid.rows; base += step) {
    const std::int64_t first = base + place.down, left = grid.rows - first;
    const std::int64_t present = left <= 0 ? 0 : (left + grid.down - 1) / grid.down;
    visit(first, present < kUnroll ? static_cast<int>(present) : kUnroll);
  }
}

/// The same bands from the last to the first: what the pass before has read last is read first, while it is in the L2
/// cache.
template <int kUnroll, typename Visit>
ATHANOR_DEVICE void for_bands_reversed(const ColumnGrid& grid, const ColumnPlace& place, Visit visit) {
  const std::int64_t band = static_cast<std::int64_t>(grid.down) * kUnroll, step = band * grid.slices;
  const std::int64_t start = blockIdx.y * band;
  if (start >= grid.rows) return;
  for (std::int64_t base = start + (grid.rows - 1 - start) / step * step; base >= start; base -= step) {
    const std::int64_t first = base + place.down, left = grid.rows - first;
    const std::int64_t present = left <= 0 ? 0 : (left + grid.down - 1) / grid.down;
    visit(first, present < kUnroll ? static_cast<int>(present) : kUnroll);
  }
}

/// For passes that only write: each block has `bands` neighbouring bands, and the first blocks have the last ones, for
/// the same reason. Many short blocks keep all multiprocessors busy to the end.
template <int kUnroll, typename Visit>
ATHANOR_DEVICE void for_last_bands_first(const ColumnGrid& grid, const ColumnPlace& place, int bands, Visit visit) {
  const std::int64_t band = static_cast<std::int64_t>(grid.down) * kUnroll;
  const std::int64_t start = static_cast<std::int64_t>(gridDim.y - 1 - blockIdx.y) * bands * band;
  for (std::int64_t base = start + (bands - 1) * band; base >= start; base -= band) {
    const std::int64_t first = base + place.down, left = grid.rows - first;
    const std::int64_t present = left <= 0 ? 0 : (left + grid.down - 1) / grid.down;
    visit(first, present < kUnroll ? static_cast<int>(present) : kUnroll);
  }
}

/// Runs f.template operator()<V>() for the channels that a thread of the grid has: elements of 16 bytes, or 1.
template <typename T, typename F>
void with_vector(const ColumnGrid& grid, F&& f) {
  if (grid.vector == 1) {
    f.template operator()<1>();
  } else {
    f.template operator()<kPackOf<T>>();
  }
}

inline Dim3 blocks_of(const ColumnGrid& grid) {
  return Dim3(static_cast<unsigned>(grid.tiles), static_cast<unsigned>(grid.slices));
}

/// The sum of each column of a matrix of doubles over its rows, as work[column]. All threads of a block share the rows
/// out, in an order that depends on the sizes alone: load(row, column) reads an element, from `work` too. `work`: room
/// for kMostColumns and kColumnThreads numbers. kAtOnce: loads of a thread in flight.
template <int kMostColumns, int kAtOnce, typename Load>
ATHANOR_DEVICE void sum_down(int rows, int columns, double* work, Load load) {
  constexpr int kTurns = (kMostColumns + kColumnThreads - 1) / kColumnThreads, kMostParts = 16;
  const int thread = static_cast<int>(threadIdx.x), fitting = kColumnThreads / columns;
  const int parts = fitting < 1 ? 1 : fitting < kMostParts ? fitting : kMostParts;
  const int part = parts == 1 ? 0 : thread / columns, column = parts == 1 ? thread : thread - part * columns;
  double sums[kTurns] = {};
#pragma unroll
  for (int turn = 0; turn < kTurns; ++turn) {
    const int c = column + turn * kColumnThreads;
    if (part >= parts || c >= columns) continue;
    for (int first = part; first < rows; first += kAtOnce * parts) {
      double values[kAtOnce];
#pragma unroll
      for (int i = 0; i < kAtOnce; ++i) values[i] = first + i * parts < rows ? load(first + i * parts, c) : 0.0;
#pragma unroll
      for (int i = 0; i < kAtOnce; ++i) sums[turn] += values[i];
    }
  }
  __syncthreads();
#pragma unroll
  for (int turn = 0; turn < kTurns; ++turn) {
    const int c = column + turn * kColumnThreads;
    if (part < parts && c < columns) work[part * columns + c] = sums[turn];
  }
  __syncthreads();
  if (parts > 1 && part == 0) {
    double sum = 0;
    for (int i = 0; i < parts; ++i) sum += work[i * columns + column];
    work[column] = sum;
  }
  __syncthreads();
}

/// Writes the block's sums as row blockIdx.y of `partials` [slices, kQuantities, channels]. All threads call it, at the
/// end of a kernel that finish_columns follows.
template <int kQuantities, int V>
ATHANOR_DEVICE void store_column_sums(const ColumnGrid& grid, const double (&thread_sums)[kQuantities][V],
                                      double* partials) {
  constexpr int kBanks = 16;  // of doubles in shared memory
  ATHANOR_SHARED double work[(kQuantities * V > 2 ? kQuantities * V : 2) * (kColumnThreads + kBanks)];
  let_next_start();
  const int thread = static_cast<int>(threadIdx.x), across = grid.across, width = across * V;
  // So far apart that the neighbouring sums of a few threads across stand in banks of their own.
  const int apart = kColumnThreads + across % kBanks;
#pragma unroll
  for (int q = 0; q < kQuantities; ++q) {
#pragma unroll
    for (int v = 0; v < V; ++v) work[(q * V + v) * apart + thread] = thread_sums[q][v];
  }
  __syncthreads();
  sum_down<kMostAcross * V * kQuantities, 8>(grid.down, kQuantities * width, work, [&](int row, int column) {
    const int sum = column / across;
    return work[sum * apart + row * across + (column - sum * across)];
  });
  const std::int64_t first_channel = static_cast<std::int64_t>(blockIdx.x) * width;
  const std::int64_t left = grid.channels - first_channel;
  const int channels = left < width ? static_cast<int>(left) : width;
  double* row = partials + static_cast<std::int64_t>(blockIdx.y) * kQuantities * grid.channels + first_channel;
  for (int i = thread; i < channels; i += kColumnThreads) {
#pragma unroll
    for (int q = 0; q < kQuantities; ++q) row[q * grid.channels + i] = work[(q * V + i % V) * across + i / V];
  }
}

/// The sums over all slices of the channels first_channel, first_channel + 1, … of `channels` ≤ kMostChannels, as
/// work[quantity · channels + i]. All threads of a block call it. `work`: as for sum_down with kMostChannels ·
/// kQuantities columns.
template <int kQuantities, int kMostChannels>
ATHANOR_DEVICE void sum_slices(int slices, std::int64_t all_channels, const double* partials,
                               std::int64_t first_channel, int channels, double* work) {
  sum_down<kQuantities * kMostChannels, 16>(slices, kQuantities * channels, work, [&](int row, int column) {
    const int q = column / channels, i = column - q * channels;
    return partials[(static_cast<std::int64_t>(row) * kQuantities + q) * all_channels + first_channel + i];
  });
}

/// Channels of a block that adds up the slices: few, so that its threads read all slices at once.
inline constexpr int kFinishedChannels = 8;

template <int kQuantities, typename Finish>
ATHANOR_KERNEL __launch_bounds__(kColumnThreads)
    finish_columns_kernel(int slices, std::int64_t all_channels, const double* partials, Finish finish) {
  constexpr int kColumns = kQuantities * kFinishedChannels;
  ATHANOR_SHARED double work[kColumns + kColumnThreads];
  let_next_start();
  const std::int64_t first_channel = static_cast<std::int64_t>(blockIdx.x) * kFinishedChannels;
  const std::int64_t left = all_channels - first_channel;
  const int channels = left < kFinishedChannels ? static_cast<int>(left) : kFinishedChannels;
  wait_for_previous();
  sum_slices<kQuantities, kFinishedChannels>(slices, all_channels, partials, first_channel, channels, work);
  const int thread = static_cast<int>(threadIdx.x);
  if (thread >= channels) return;
  double sums[kQuantities];
#pragma unroll
  for (int q = 0; q < kQuantities; ++q) sums[q] = work[q * channels + thread];
  finish(first_channel + thread, sums);
}

/// Behind a kernel that has stored its columns' sums: finish(channel, totals) for each channel.
template <int kQuantities, typename Finish>
void finish_columns(const ColumnGrid& grid, const double* partials, const Finish& finish, LaunchStream stream) {
  const std::int64_t blocks = (grid.channels + kFinishedChannels - 1) / kFinishedChannels;
  launch_early(finish_columns_kernel<kQuantities, Finish>, static_cast<unsigned>(blocks), kColumnThreads, 0, stream,
               grid.slices, grid.channels, partials, finish);
}

}  // namespace athanor::kernels::cuda
