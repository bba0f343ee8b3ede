// Sums over the rows of a matrix, for kernels: each thread brings the sums of its own rows; the block adds them up
// along a tree in double, and the last block of a group, then of all groups, adds up the blocks'. Which block is last
// depends on the run, the order of the additions does not. Code of kernels: include it in .cu files only.
#pragma once

#include "kernels/cuda/column_grid.h"
#include "kernels/cuda/last_block.h"
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

/// The sums of a matrix of doubles over its rows, work[c] for column c. All threads of a block share the rows out, in
/// an order that depends on the sizes alone: load(row, column) reads an element, from `work` too. `work`: room for
/// 2 · kColumnThreads numbers; columns ≤ kMostColumns, a multiple of kColumnThreads.
template <int kMostColumns, typename Load>
ATHANOR_DEVICE void sum_down(int rows, int columns, double* work, Load load) {
  constexpr int kTurns = kMostColumns / kColumnThreads, kMostParts = 16;
  const int thread = static_cast<int>(threadIdx.x), fitting = kColumnThreads / columns;
  const int parts = fitting < 1 ? 1 : fitting < kMostParts ? fitting : kMostParts;
  const int part = parts == 1 ? 0 : thread / columns, column = parts == 1 ? thread : thread - part * columns;
  double sums[kTurns] = {};
  if (part < parts) {
#pragma unroll
    for (int turn = 0; turn < kTurns; ++turn) {
      const int c = column + turn * kColumnThreads;
      if (c >= columns) continue;
#pragma unroll 8
      for (int row = part; row < rows; row += parts) sums[turn] += load(row, c);
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

/// The total of every channel over all threads and blocks: finish(channel, totals), once each. All threads of all
/// blocks call it; `partials`: column_scratch_bytes.
template <int kQuantities, int V, typename Finish>
ATHANOR_DEVICE void finish_columns(const ColumnGrid& grid, const double (&thread_sums)[kQuantities][V],
                                   double* partials, Finish finish) {
  constexpr int kWidest = kMostAcross * V * kQuantities;
  constexpr int kMostColumns = (kWidest + kColumnThreads - 1) / kColumnThreads * kColumnThreads;
  // Each thread's sums, later of each channel in turn: at least what sum_down works in.
  ATHANOR_SHARED double work[(kQuantities * V > 2 ? kQuantities * V : 2) * kColumnThreads];
  const int thread = static_cast<int>(threadIdx.x), across = grid.across, width = across * V;
#pragma unroll
  for (int q = 0; q < kQuantities; ++q) {
#pragma unroll
    for (int v = 0; v < V; ++v) work[(q * V + v) * kColumnThreads + thread] = thread_sums[q][v];
  }
  __syncthreads();
  sum_down<kMostColumns>(grid.down, kQuantities * width, work, [&](int row, int column) {
    const int sum = column / across;
    return work[sum * kColumnThreads + row * across + (column - sum * across)];
  });

  const std::int64_t first_channel = static_cast<std::int64_t>(blockIdx.x) * width;
  const std::int64_t left = grid.channels - first_channel;
  const int channels = left < width ? static_cast<int>(left) : width;
  // Of quantity q of the block's channel i: as the threads had them, and as rows of partial sums have them.
  const auto of_thread = [&](int q, int i) { return work[(q * V + i % V) * across + i / V]; };
  const auto of_row = [&](int q, int i) { return work[q * channels + i]; };
  const auto for_channels = [&](auto visit) {
    for (int i = thread; i < channels; i += kColumnThreads) visit(i);
  };
  const auto call_finish = [&](auto sum_of) {
    for_channels([&](int i) {
      double sums[kQuantities];
#pragma unroll
      for (int q = 0; q < kQuantities; ++q) sums[q] = sum_of(q, i);
      finish(first_channel + i, sums);
    });
  };
  const auto store = [&](double* rows, std::int64_t row, auto sum_of) {
    for_channels([&](int i) {
#pragma unroll
      for (int q = 0; q < kQuantities; ++q) {
        rows[(row * kQuantities + q) * grid.channels + first_channel + i] = sum_of(q, i);
      }
    });
  };
  const auto sum_rows = [&](const double* rows, std::int64_t first, int count) {
    sum_down<kMostColumns>(count, kQuantities * channels, work, [&](int row, int column) {
      const int q = column / channels, i = column - q * channels;
      return load_shared_result(rows + ((first + row) * kQuantities + q) * grid.channels + first_channel + i);
    });
  };

  if (grid.slices == 1) return call_finish(of_thread);
  const int slice = static_cast<int>(blockIdx.y), group = slice / grid.group, first = group * grid.group;
  const int members = first + grid.group < grid.slices ? grid.group : grid.slices - first;
  const int meetings = static_cast<int>(blockIdx.x) * (grid.groups + 1);
  store(partials, slice, of_thread);
  if (!is_last_to_arrive(meetings + group, members)) return;
  sum_rows(partials, first, members);
  if (grid.groups == 1) return call_finish(of_row);
  double* group_sums = partials + static_cast<std::int64_t>(grid.slices) * kQuantities * grid.channels;
  store(group_sums, group, of_row);
  if (!is_last_to_arrive(meetings + grid.groups, grid.groups)) return;
  sum_rows(group_sums, 0, grid.groups);
  call_finish(of_row);
}

}  // namespace athanor::kernels::cuda
