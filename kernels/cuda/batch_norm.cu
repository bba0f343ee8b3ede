// The forward pass of batch norm, in training and with given statistics.
#include "kernels/cuda/batch_norm.h"

#include "kernels/cuda/batch_norm_parts.h"

namespace athanor::kernels::cuda {
namespace {

using namespace batch_norm;

constexpr int kThreads = 128;

/// What x is multiplied by and what is added then.
struct Affine {
  float scale, shift;
};

/// From Σ x and Σ x² of a channel to what the forward pass makes of them.
struct ForwardStatistics {
  const float* gamma;
  const float* beta;
  float* mean;
  float* inv_std;
  float* batch_mean;
  float* batch_var;
  double n;
  float eps;

  /// `writes`: the outputs too, which one thread of each channel does.
  ATHANOR_DEVICE Affine finish(std::int64_t c, double sum, double squares, bool writes) const {
    const MeanAndVariance result = mean_and_variance(sum, squares, n);
    const auto m = static_cast<float>(result.mean);
    const float inv = inv_std_of(result.var, eps), scale = scale_of(gamma[c], inv);
    if (writes) {
      mean[c] = m;
      inv_std[c] = inv;
      if (batch_mean != nullptr) batch_mean[c] = m;
      if (batch_var != nullptr) batch_var[c] = n > 1 ? static_cast<float>(result.var * (n / (n - 1))) : 0.0f;
    }
    return {scale, shift_of(beta[c], m, scale)};
  }
};

/// Bit v: whether element v is not ≤ 0.
template <typename T>
ATHANOR_DEVICE std::uint8_t positives_of(const RowPack<T, 8>& pack) {
  unsigned bits = 0;
#pragma unroll
  for (int v = 0; v < 8; ++v) bits |= (pack[v] <= 0.0f ? 0u : 1u) << v;
  return static_cast<std::uint8_t>(bits);
}

/// What the writing pass of the forward direction reads and writes, as one argument of a kernel.
template <typename T>
struct NormalizeRows {
  const T* x;
  const T* residual;
  T* y;
  std::uint8_t* mask;
  bool relu;

  /// y = max(low, x · a + b (+ residual)) of the thread's rows first, first + grid.down, … of kUnroll.
  template <bool kHasResidual, int V>
  ATHANOR_DEVICE auto writer(const ColumnGrid& grid, const ColumnPlace& place, const Floats<V>& a,
                             const Floats<V>& b) const {
    constexpr int kUnroll = kWriteUnroll;
    const float low = relu ? 0.0f : -INFINITY;
    const std::int64_t stride = grid.down * grid.channels;
    return [=, *this](std::int64_t row, int present) {
      const std::int64_t at = row * grid.channels + place.channel;
      RowPack<T, V> xs[kUnroll], rs[kUnroll];
      load_rows<Reuse::none>(xs, x + at, stride, present);
      if constexpr (kHasResidual) load_rows<Reuse::none>(rs, residual + at, stride, present);
#pragma unroll
      for (int u = 0; u < kUnroll; ++u) {
        if (u >= present) continue;
        float result[V];
#pragma unroll
        for (int v = 0; v < V; ++v) {
          float value = fmaf(xs[u][v], a[v], b[v]);
          if constexpr (kHasResidual) value += rs[u][v];
          result[v] = value < low ? low : value;
        }
        xs[u].set(result);
        if constexpr (V == 8) {
          if (mask != nullptr) mask[(at + u * stride) / 8] = positives_of(xs[u]);
        }
        xs[u].store(y + at + u * stride);
      }
    };
  }
};

/// `scale`, `shift`: [channels].
template <bool kHasResidual, typename T, int V>
ATHANOR_KERNEL __launch_bounds__(kColumnThreads, 4)
    normalize_kernel(ColumnGrid grid, int bands, NormalizeRows<T> rows, const float* scale, const float* shift) {
  const ColumnPlace place = column_place(grid);
  wait_for_previous();
  let_next_start();
  if (!place.works) return;
  const auto a = load_factors<V>(scale + place.channel), b = load_factors<V>(shift + place.channel);
  for_last_bands_first<kWriteUnroll>(grid, place, bands, rows.template writer<kHasResidual, V>(grid, place, a, b));
}

/// The same from sums that are there already: each block finishes its own channels, all with the same bits; the first
/// slice of a channel writes what is kept.
template <bool kHasResidual, typename T, int V>
ATHANOR_KERNEL __launch_bounds__(kColumnThreads, 4)
    normalize_given_sums_kernel(ColumnGrid grid, int bands, NormalizeRows<T> rows, const float* sums,
                                const float* squares, ForwardStatistics statistics) {
  ATHANOR_SHARED float scale[kMostAcross * V];
  ATHANOR_SHARED float shift[kMostAcross * V];
  static_assert(kMostAcross * V <= kColumnThreads, "a thread finishes at most one channel");
  const int thread = static_cast<int>(threadIdx.x), width = grid.across * V;
  const std::int64_t channel = static_cast<std::int64_t>(blockIdx.x) * width + thread;
  if (thread < width && channel < grid.channels) {
    const Affine affine = statistics.finish(channel, sums[channel], squares[channel], blockIdx.y == 0);
    scale[thread] = affine.scale;
    shift[thread] = affine.shift;
  }
  __syncthreads();
  const ColumnPlace place = column_place(grid);
  if (!place.works) return;
  const auto a = load_floats<V>(scale + place.across * V), b = load_floats<V>(shift + place.across * V);
  for_last_bands_first<kWriteUnroll>(grid, place, bands, rows.template writer<kHasResidual, V>(grid, place, a, b));
}

/// The same for a small matrix, from the slices of the pass before.
template <bool kHasResidual, typename T, int V>
ATHANOR_KERNEL __launch_bounds__(kColumnThreads, 4)
    normalize_small_kernel(ColumnGrid grid, int bands, NormalizeRows<T> rows, const double* partials,
                           ForwardStatistics statistics) {
  ATHANOR_SHARED float scale[kSmallTileChannels];
  ATHANOR_SHARED float shift[kSmallTileChannels];
  wait_for_previous();
  let_next_start();
  const TileSums sums = sum_tile(grid, partials);
  if (sums.has_thread()) {
    const Affine affine = statistics.finish(sums.channel(), sums.first(), sums.second(), blockIdx.y == 0);
    scale[threadIdx.x] = affine.scale;
    shift[threadIdx.x] = affine.shift;
  }
  __syncthreads();
  const ColumnPlace place = column_place(grid);
  if (!place.works) return;
  const auto a = load_floats<V>(scale + place.across * V), b = load_floats<V>(shift + place.across * V);
  for_last_bands_first<kWriteUnroll>(grid, place, bands, rows.template writer<kHasResidual, V>(grid, place, a, b));
}

/// Statistics and factors of a channel from Σ x and Σ x².
struct FinishForward {
  ForwardStatistics statistics;
  float* factors;
  std::int64_t channels;

  ATHANOR_DEVICE void operator()(std::int64_t c, const double (&sums)[2]) const {
    const Affine affine = statistics.finish(c, sums[0], sums[1], true);
    factors[c] = affine.scale;
    factors[channels + c] = affine.shift;
  }
};

ATHANOR_KERNEL __launch_bounds__(kThreads) given_statistics_kernel(BatchNormInference args, float* factors) {
  const std::int64_t c = grid_thread();
  if (c >= args.channels) return;
  const float inv = args.inv_std != nullptr ? args.inv_std[c] : inv_std_of(args.var[c], args.eps);
  factors[c] = scale_of(args.gamma[c], inv);
  factors[args.channels + c] = shift_of(args.beta[c], args.mean[c], factors[c]);
}

unsigned blocks_for(std::int64_t channels) {
  return static_cast<unsigned>((channels + kThreads - 1) / kThreads);
}

template <typename T, typename Arguments>
NormalizeRows<T> rows_of(const Arguments& args) {
  std::uint8_t* mask = nullptr;
  if constexpr (std::is_same_v<Arguments, BatchNorm>) mask = args.mask;
  return {static_cast<const T*>(args.x), static_cast<const T*>(args.residual), static_cast<T*>(args.y), mask,
          args.relu};
}

/// Runs f.template operator()<T, V, kHasResidual>().
template <typename Arguments, typename F>
void with_forward_kind(const Arguments& args, const ColumnGrid& grid, F&& f) {
  with_type(args.dtype, [&]<typename T>() {
    with_vector<T>(grid, [&]<int V>() {
      if (args.residual != nullptr) {
        f.template operator()<T, V, true>();
      } else {
        f.template operator()<T, V, false>();
      }
    });
  });
}

/// The writing pass where factors are in memory.
template <typename Arguments>
void launch_normalize(const Arguments& args, const ColumnGrid& grid, const float* factors, LaunchStream stream) {
  const WriteBlocks write = write_blocks(grid);
  with_forward_kind(args, grid, [&]<typename T, int V, bool kHasResidual>() {
    launch_early_independent(normalize_kernel<kHasResidual, T, V>, write.blocks, kColumnThreads, 0, stream, grid,
                             write.bands, rows_of<T>(args), factors, factors + args.channels);
  });
}

/// With sums that are given each block makes the factors of its channels, so it should not be too short.
WriteBlocks write_blocks_with_given_sums(const ColumnGrid& grid) {
  constexpr std::int64_t kBlocks = 2 * kColumnBlocks;
  const std::int64_t bands = bands_of(grid) * grid.tiles / kBlocks;
  return write_blocks(grid, bands > 2 ? bands : 2);
}

}  // namespace

void launch(const BatchNorm& args, LaunchStream stream) {
  const bool aligned = all_aligned(args.x, args.residual, args.y);
  const bool small = args.sums == nullptr && is_small_matrix(args.dtype, args.rows, args.channels);
  const ColumnGrid grid = small ? small_column_grid(args.dtype, args.rows, args.channels, aligned)
                                : column_grid(args.dtype, args.rows, args.channels, aligned);
  const ForwardStatistics statistics{
      args.gamma, args.beta, args.mean, args.inv_std, args.batch_mean, args.batch_var, static_cast<double>(args.rows),
      args.eps};
  if (args.sums != nullptr) {
    const WriteBlocks write = write_blocks_with_given_sums(grid);
    with_forward_kind(args, grid, [&]<typename T, int V, bool kHasResidual>() {
      launch_kernel(normalize_given_sums_kernel<kHasResidual, T, V>, write.blocks, kColumnThreads, 0, stream, grid,
                    write.bands, rows_of<T>(args), args.sums, args.squares, statistics);
    });
    return;
  }
  with_type(args.dtype, [&]<typename T>() {
    with_vector<T>(grid, [&]<int V>() {
      launch_kernel(sum_moments_kernel<T, V>, blocks_of(grid), kColumnThreads, 0, stream, grid,
                    static_cast<const T*>(args.x), partials_of(args.scratch));
    });
  });
  if (small) {
    const WriteBlocks write = small_write_blocks(grid);
    with_forward_kind(args, grid, [&]<typename T, int V, bool kHasResidual>() {
      launch_early(normalize_small_kernel<kHasResidual, T, V>, write.blocks, kColumnThreads, 0, stream, grid,
                   write.bands, rows_of<T>(args), partials_of(args.scratch), statistics);
    });
    return;
  }
  float* factors = factors_of(args.scratch, args.dtype, args.rows, args.channels);
  finish_columns<2>(grid, partials_of(args.scratch), FinishForward{statistics, factors, args.channels}, stream);
  launch_normalize(args, grid, factors, stream);
}

void launch(const BatchNormInference& args, LaunchStream stream) {
  const ColumnGrid grid = column_grid(args.dtype, args.rows, args.channels, all_aligned(args.x, args.residual, args.y));
  float* factors = factors_of(args.scratch, args.dtype, args.rows, args.channels);
  launch_independent(given_statistics_kernel, blocks_for(args.channels), kThreads, 0, stream, args, factors);
  launch_normalize(args, grid, factors, stream);
}

}  // namespace athanor::kernels::cuda
