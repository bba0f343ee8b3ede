// What the batch-norm kernels share: the pass that sums x, how a pass that writes is cut, and the few numbers of each
// channel between them. Code of kernels: include it in .cu files only.
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/cuda/batch_norm.h"
#include "kernels/cuda/column_sums.h"

namespace athanor::kernels::cuda::batch_norm {

/// The two parts of scratch.
inline double* partials_of(void* scratch) {
  return static_cast<double*>(scratch);
}
inline float* factors_of(void* scratch, DType dtype, std::int64_t rows, std::int64_t channels) {
  return reinterpret_cast<float*>(static_cast<char*>(scratch) + column_scratch_bytes(dtype, rows, channels, 2));
}

/// Rows of a thread whose loads are in flight together: in passes that sum and that write.
inline constexpr int kSumUnroll = 4;
inline constexpr int kWriteUnroll = 4;
/// Bands of a block of a writing pass.
inline constexpr int kWriteBands = 1;

template <int V>
struct Floats {
  float values[V];
  ATHANOR_DEVICE float operator[](int v) const { return values[v]; }
};

template <int V>
ATHANOR_DEVICE Floats<V> load_floats(const float* from) {
  Floats<V> result;
#pragma unroll
  for (int v = 0; v < V; ++v) result.values[v] = from[v];
  return result;
}
/// The same from factors, whose rows of channels are aligned where V > 1.
template <int V>
ATHANOR_DEVICE Floats<V> load_factors(const float* from) {
  constexpr int kAtOnce = V < 4 ? V : 4;
  Floats<V> result;
#pragma unroll
  for (int v = 0; v < V; v += kAtOnce) {
    const auto pack = load_pack<kAtOnce>(from + v);
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i) result.values[v + i] = pack[i];
  }
  return result;
}

struct MeanAndVariance {
  double mean, var;  ///< biased; NaN stays NaN
};
ATHANOR_DEVICE MeanAndVariance mean_and_variance(double sum, double squares, double n) {
  const double mean = sum / n, rest = squares - sum * mean;
  return {mean, rest > 0 ? rest / n : rest == rest ? 0 : rest};
}

ATHANOR_DEVICE float inv_std_of(double var, float eps) {
  return static_cast<float>(1 / sqrt(var + static_cast<double>(eps)));
}

/// Every pass that needs them makes the same bits from the same numbers.
ATHANOR_DEVICE float scale_of(float gamma, float inv_std) {
  return gamma * inv_std;
}
ATHANOR_DEVICE float shift_of(float beta, float mean, float scale) {
  return static_cast<float>(beta - static_cast<double>(mean) * static_cast<double>(scale));
}

/// Σ x and Σ x² of each channel. A thread sums round its first row, so that a mean far from 0 costs no digits.
template <typename T, int V>
ATHANOR_KERNEL __launch_bounds__(kColumnThreads, 4) sum_moments_kernel(ColumnGrid grid, const T* x, double* partials) {
  constexpr int kUnroll = kSumUnroll;
  const ColumnPlace place = column_place(grid);
  float centre[V] = {}, sum[V] = {}, squares[V] = {};
  int count = 0;
  if (place.works) {
    for_bands<kUnroll>(grid, place, [&](std::int64_t row, int present) {
      RowPack<T, V> xs[kUnroll];
      load_rows<Reuse::soon>(xs, x + row * grid.channels + place.channel, grid.down * grid.channels, present);
      if (count == 0) {
#pragma unroll
        for (int v = 0; v < V; ++v) centre[v] = xs[0][v];
      }
#pragma unroll
      for (int u = 0; u < kUnroll; ++u) {
        if (u >= present) continue;
#pragma unroll
        for (int v = 0; v < V; ++v) {
          const float d = xs[u][v] - centre[v];
          sum[v] += d;
          squares[v] = fmaf(d, d, squares[v]);
        }
      }
      count += present;
    });
  }
  double sums[2][V];
#pragma unroll
  for (int v = 0; v < V; ++v) {
    const double k = centre[v], n = count, s = sum[v];
    sums[0][v] = s + n * k;
    sums[1][v] = static_cast<double>(squares[v]) + k * (2 * s + n * k);
  }
  store_column_sums<2, V>(grid, sums, partials);
}

/// Of a small matrix, in the writing pass: the two sums of each channel of the block's tile, over all slices.
struct TileSums {
  std::int64_t first_channel;
  int channels;
  const double* work;  ///< [2, channels], shared

  /// Whether the thread has one of the channels: that of its number.
  ATHANOR_DEVICE bool has_thread() const { return static_cast<int>(threadIdx.x) < channels; }
  ATHANOR_DEVICE std::int64_t channel() const { return first_channel + threadIdx.x; }
  ATHANOR_DEVICE double first() const { return work[threadIdx.x]; }
  ATHANOR_DEVICE double second() const { return work[channels + threadIdx.x]; }
};
ATHANOR_DEVICE TileSums sum_tile(const ColumnGrid& grid, const double* partials) {
  ATHANOR_SHARED double work[2 * kSmallTileChannels + kColumnThreads];
  const int width = grid.across * grid.vector;
  const std::int64_t first_channel = static_cast<std::int64_t>(blockIdx.x) * width;
  const std::int64_t left = grid.channels - first_channel;
  const int channels = left < width ? static_cast<int>(left) : width;
  sum_slices<2, kSmallTileChannels>(grid.slices, grid.channels, partials, first_channel, channels, work);
  return {first_channel, channels, work};
}

/// Whether 16-byte accesses to all of these, null ones aside, are possible.
template <typename... Pointers>
bool all_aligned(const Pointers*... pointers) {
  return (is_aligned(pointers, 16) && ...);
}

/// Bands that a writing pass has in each tile.
inline std::int64_t bands_of(const ColumnGrid& grid) {
  const std::int64_t band = static_cast<std::int64_t>(grid.down) * kWriteUnroll;
  return (grid.rows + band - 1) / band;
}

/// Blocks of a writing pass, and how many bands each has.
struct WriteBlocks {
  Dim3 blocks;
  int bands;
};
inline WriteBlocks write_blocks(const ColumnGrid& grid, std::int64_t bands = kWriteBands) {
  constexpr std::int64_t kMost = 65535;
  const std::int64_t all = bands_of(grid), least = (all + kMost - 1) / kMost, each = bands > least ? bands : least;
  return {Dim3(static_cast<unsigned>(grid.tiles), static_cast<unsigned>((all + each - 1) / each)),
          static_cast<int>(each)};
}

/// Those of a small matrix: an H100 has 132 multiprocessors, and each block adds up the slices anew.
inline WriteBlocks small_write_blocks(const ColumnGrid& grid) {
  constexpr std::int64_t kBlocks = 128;
  const std::int64_t bands = bands_of(grid) * grid.tiles / kBlocks;
  return write_blocks(grid, bands > kWriteBands ? bands : kWriteBands);
}

}  // namespace athanor::kernels::cuda::batch_norm
