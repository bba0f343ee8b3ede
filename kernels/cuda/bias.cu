// Biases behind products, and their gradient.
#include "kernels/cuda/bias.h"

#include "kernels/cuda/column_sums.h"

namespace athanor::kernels::cuda {
namespace {

template <typename T, int V>
ATHANOR_KERNEL __launch_bounds__(kColumnThreads)
    bias_activation_kernel(ColumnGrid grid, T* y, const float* bias, bool relu) {
  constexpr int kUnroll = 4;
  const ColumnPlace place = column_place(grid);
  if (!place.works) return;
  float shift[V] = {};
  if (bias != nullptr) {
#pragma unroll
    for (int v = 0; v < V; ++v) shift[v] = bias[place.channel + v];
  }
  const std::int64_t stride = grid.down * grid.channels;
  for_bands_reversed<kUnroll>(grid, place, [&](std::int64_t row, int present) {
    T* to = y + row * grid.channels + place.channel;
    RowPack<T, V> values[kUnroll];
    load_rows<Reuse::soon>(values, to, stride, present);
#pragma unroll
    for (int u = 0; u < kUnroll; ++u) {
      if (u >= present) continue;
      float result[V];
#pragma unroll
      for (int v = 0; v < V; ++v) {
        const float value = values[u][v] + shift[v];
        result[v] = relu && value < 0 ? 0.0f : value;
      }
      values[u].set(result);
      values[u].store(to + u * stride);
    }
  });
}

struct FinishSums {
  float* sums;
  ATHANOR_DEVICE void operator()(std::int64_t channel, const double (&totals)[1]) const {
    sums[channel] = static_cast<float>(totals[0]);
  }
};

template <typename T, int V>
ATHANOR_KERNEL __launch_bounds__(kColumnThreads, 4)
    column_sums_kernel(ColumnGrid grid, const T* dy, const T* y, double* partials) {
  constexpr int kUnroll = 4;
  const ColumnPlace place = column_place(grid);
  float sum[V] = {};
  if (place.works) {
    const std::int64_t stride = grid.down * grid.channels;
    for_bands<kUnroll>(grid, place, [&](std::int64_t row, int present) {
      const std::int64_t at = row * grid.channels + place.channel;
      RowPack<T, V> gradients[kUnroll], outputs[kUnroll] = {};
      load_rows<Reuse::soon>(gradients, dy + at, stride, present);
      if (y != nullptr) load_rows<Reuse::soon>(outputs, y + at, stride, present);
#pragma unroll
      for (int u = 0; u < kUnroll; ++u) {
        if (u >= present) continue;
#pragma unroll
        for (int v = 0; v < V; ++v) {
          const bool is_masked = y != nullptr && outputs[u][v] <= 0.0f;
          sum[v] += is_masked ? 0.0f : gradients[u][v];
        }
      }
    });
  }
  double sums[1][V];
#pragma unroll
  for (int v = 0; v < V; ++v) sums[0][v] = sum[v];
  store_column_sums<1, V>(grid, sums, partials);
}

}  // namespace

void launch(const BiasActivation& args, LaunchStream stream) {
  const ColumnGrid grid = column_grid(args.dtype, args.rows, args.channels, is_aligned(args.y, 16));
  with_type(args.dtype, [&]<typename T>() {
    with_vector<T>(grid, [&]<int V>() {
      launch_independent(bias_activation_kernel<T, V>, blocks_of(grid), kColumnThreads, 0, stream, grid,
                         static_cast<T*>(args.y), args.bias, args.relu);
    });
  });
}

void launch(const ColumnSums& args, LaunchStream stream) {
  const ColumnGrid grid =
      column_grid(args.dtype, args.rows, args.channels, is_aligned(args.dy, 16) && is_aligned(args.y, 16));
  auto* partials = static_cast<double*>(args.scratch);
  with_type(args.dtype, [&]<typename T>() {
    with_vector<T>(grid, [&]<int V>() {
      launch_kernel(column_sums_kernel<T, V>, blocks_of(grid), kColumnThreads, 0, stream, grid,
                    static_cast<const T*>(args.dy), static_cast<const T*>(args.y), partials);
    });
  });
  finish_columns<1>(grid, partials, FinishSums{args.sums}, stream);
}

}  // namespace athanor::kernels::cuda
