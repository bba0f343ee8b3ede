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

/// Adds `count` rows of [kQuantities, channels] for each channel of the block: emit(channel, sums).
template <int kQuantities, typename Emit>
ATHANOR_DEVICE void add_partials(const ColumnGrid& grid, const double* partials, int count, Emit emit) {
  const std::int64_t width = static_cast<std::int64_t>(grid.across) * grid.vector, begin = blockIdx.x * width;
  const std::int64_t end = begin + width < grid.channels ? begin + width : grid.channels;
  for (std::int64_t channel = begin + threadIdx.x; channel < end; channel += kColumnThreads) {
    double sums[kQuantities] = {};
#pragma unroll 4
    for (int i = 0; i < count; ++i) {
#pragma unroll
      for (int q = 0; q < kQuantities; ++q) {
        sums[q] +=
            load_shared_result(partials + (static_cast<std::int64_t>(i) * kQuantities + q) * grid.channels + channel);
      }
    }
    emit(channel, sums);
  }
}

/// The total of every channel over all threads and blocks: finish(channel, totals), once each. All threads of all
/// blocks call it; `partials`: column_scratch_bytes.
template <int kQuantities, int V, typename Finish>
ATHANOR_DEVICE void finish_columns(const ColumnGrid& grid, const ColumnPlace& place,
                                   const double (&thread_sums)[kQuantities][V], double* partials, Finish finish) {
  ATHANOR_SHARED double block_sums[kQuantities][V][kColumnThreads];
  const int thread = static_cast<int>(threadIdx.x);
#pragma unroll
  for (int q = 0; q < kQuantities; ++q) {
#pragma unroll
    for (int v = 0; v < V; ++v) block_sums[q][v][thread] = place.works ? thread_sums[q][v] : 0.0;
  }
  int half = 1;
  while (half < grid.down) half *= 2;
  for (half /= 2; half > 0; half /= 2) {
    __syncthreads();
    if (place.down < half && place.down + half < grid.down) {
#pragma unroll
      for (int q = 0; q < kQuantities; ++q) {
#pragma unroll
        for (int v = 0; v < V; ++v) block_sums[q][v][thread] += block_sums[q][v][thread + half * grid.across];
      }
    }
  }
  double* own = partials + static_cast<std::int64_t>(blockIdx.y) * kQuantities * grid.channels;
  if (place.down == 0 && place.works) {
#pragma unroll
    for (int v = 0; v < V; ++v) {
      double sums[kQuantities];
#pragma unroll
      for (int q = 0; q < kQuantities; ++q) sums[q] = block_sums[q][v][thread];
      if (grid.slices == 1) {
        finish(place.channel + v, sums);
      } else {
#pragma unroll
        for (int q = 0; q < kQuantities; ++q) own[q * grid.channels + place.channel + v] = sums[q];
      }
    }
  }
  if (grid.slices == 1) return;

  const int groups = grid.groups, group = static_cast<int>(blockIdx.y) / grid.group;
  const int meetings = static_cast<int>(blockIdx.x) * (groups + 1), first = group * grid.group;
  const int members = first + grid.group < grid.slices ? grid.group : grid.slices - first;
  if (!is_last_to_arrive(meetings + group, members)) return;
  double* group_sums = partials + static_cast<std::int64_t>(grid.slices) * kQuantities * grid.channels;
  add_partials<kQuantities>(
      grid, partials + static_cast<std::int64_t>(first) * kQuantities * grid.channels, members,
      [&](std::int64_t channel, const double(&sums)[kQuantities]) {
        for (int q = 0; q < kQuantities; ++q) {
          group_sums[(static_cast<std::int64_t>(group) * kQuantities + q) * grid.channels + channel] = sums[q];
        }
      });
  if (!is_last_to_arrive(meetings + groups, groups)) return;
  add_partials<kQuantities>(grid, group_sums, groups, finish);
}

}  // namespace athanor::kernels::cuda
