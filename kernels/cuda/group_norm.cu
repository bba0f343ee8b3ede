// Layer and group normalisation: a block has a group of a sample. The parameters' gradients are sums over rows.
#include "kernels/cuda/group_norm.h"

#include <cmath>

#include "kernels/cuda/column_sums.h"
#include "kernels/cuda/last_block.h"

namespace athanor::kernels::cuda {
namespace {

constexpr int kThreads = 256;

/// The group of this block. Its elements i = pixel · group_channels + channel.
struct Group {
  std::int64_t item, first_channel, offset, elements;
};

ATHANOR_DEVICE Group group_of_block(const NormGroups& shape) {
  const std::int64_t item = blockIdx.x, sample = item / shape.groups;
  const std::int64_t first = (item - sample * shape.groups) * shape.group_channels;
  return {item, first, sample * shape.pixels * shape.groups * shape.group_channels + first,
          shape.pixels * shape.group_channels};
}

/// Calls visit(offset in memory, channel) for the thread's elements of the group.
template <typename Visit>
ATHANOR_DEVICE void for_group(const NormGroups& shape, const Group& group, Visit visit) {
  const std::int64_t channels = shape.groups * shape.group_channels;
  for (std::int64_t i = threadIdx.x; i < group.elements; i += kThreads) {
    const std::int64_t pixel = i / shape.group_channels, c = i - pixel * shape.group_channels;
    visit(group.offset + pixel * channels + c, group.first_channel + c);
  }
}

template <typename T>
ATHANOR_KERNEL __launch_bounds__(kThreads) group_norm_kernel(GroupNorm args, const T* x, T* y) {
  const Group group = group_of_block(args.shape);
  const auto count = static_cast<double>(group.elements);
  float rough = 0;
  for_group(args.shape, group, [&](std::int64_t at, std::int64_t) { rough += load_float(x[at]); });
  const auto centre = static_cast<float>(block_sum<kThreads>(rough) / count);
  float rest_sum = 0, square_sum = 0;
  for_group(args.shape, group, [&](std::int64_t at, std::int64_t) {
    const float d = load_float(x[at]) - centre;
    rest_sum += d;
    square_sum = fmaf(d, d, square_sum);
  });
  const double rest = block_sum<kThreads>(rest_sum) / count, squares = block_sum<kThreads>(square_sum) / count;
  const double var = squares - rest * rest;
  const auto mean = static_cast<float>(static_cast<double>(centre) + rest);
  const auto inv_std = static_cast<float>(1 / sqrt((var < 0 ? 0 : var) + static_cast<double>(args.eps)));
  if (threadIdx.x == 0) {
    args.mean[group.item] = mean;
    args.inv_std[group.item] = inv_std;
  }
  for_group(args.shape, group, [&](std::int64_t at, std::int64_t channel) {
    y[at] = store_as<T>(fmaf((load_float(x[at]) - mean) * inv_std, args.gamma[channel], args.beta[channel]));
  });
}

/// dx = inv_std · (g − Σ g / m − xhat · Σ (g · xhat) / m), g = dy · gamma.
template <typename T>
ATHANOR_KERNEL __launch_bounds__(kThreads)
    group_input_gradient_kernel(GroupNormBackward args, const T* dy, const T* x, T* dx) {
  const Group group = group_of_block(args.shape);
  const auto count = static_cast<double>(group.elements);
  const float mean = args.mean[group.item], inv_std = args.inv_std[group.item];
  float sum = 0, products = 0;
  for_group(args.shape, group, [&](std::int64_t at, std::int64_t channel) {
    const float g = load_float(dy[at]) * args.gamma[channel];
    sum += g;
    products = fmaf(g, (load_float(x[at]) - mean) * inv_std, products);
  });
  const auto mean_g = static_cast<float>(block_sum<kThreads>(sum) / count);
  const auto mean_gx = static_cast<float>(block_sum<kThreads>(products) / count);
  for_group(args.shape, group, [&](std::int64_t at, std::int64_t channel) {
    const float x_hat = (load_float(x[at]) - mean) * inv_std;
    dx[at] = store_as<T>(inv_std * (load_float(dy[at]) * args.gamma[channel] - mean_g - x_hat * mean_gx));
  });
}

struct FinishParameters {
  float* dgamma;
  float* dbeta;
  ATHANOR_DEVICE void operator()(std::int64_t channel, const double (&sums)[2]) const {
    dbeta[channel] = static_cast<float>(sums[0]);
    dgamma[channel] = static_cast<float>(sums[1]);
  }
};

/// dbeta = Σ dy and dgamma = Σ dy · xhat over the rows.
template <typename T, int V>
ATHANOR_KERNEL __launch_bounds__(kColumnThreads, 2)
    parameter_gradients_kernel(ColumnGrid grid, GroupNormBackward args, const T* dy, const T* x, double* partials) {
  constexpr int kUnroll = 2;
  const ColumnPlace place = column_place(grid);
  float sum[V] = {}, products[V] = {};
  if (place.works) {
    const std::int64_t stride = grid.down * grid.channels;
    for_bands<kUnroll>(grid, place, [&](std::int64_t row, int present) {
      const std::int64_t at = row * grid.channels + place.channel;
      RowPack<T, V> dys[kUnroll], xs[kUnroll];
      load_rows<Reuse::soon>(dys, dy + at, stride, present);
      load_rows<Reuse::soon>(xs, x + at, stride, present);
#pragma unroll
      for (int u = 0; u < kUnroll; ++u) {
        if (u >= present) continue;
        const std::int64_t sample = (row + u * grid.down) / args.shape.pixels;
#pragma unroll
        for (int v = 0; v < V; ++v) {
          const std::int64_t group = sample * args.shape.groups + (place.channel + v) / args.shape.group_channels;
          const float g = dys[u][v];
          sum[v] += g;
          products[v] = fmaf(g, (xs[u][v] - args.mean[group]) * args.inv_std[group], products[v]);
        }
      }
    });
  }
  double sums[2][V];
#pragma unroll
  for (int v = 0; v < V; ++v) {
    sums[0][v] = sum[v];
    sums[1][v] = products[v];
  }
  store_column_sums<2, V>(grid, sums, partials);
}

}  // namespace

void launch(const GroupNorm& args, LaunchStream stream) {
  with_type(args.shape.dtype, [&]<typename T>() {
    launch_kernel(group_norm_kernel<T>, static_cast<unsigned>(args.shape.batch * args.shape.groups), kThreads, 0,
                  stream, args, static_cast<const T*>(args.x), static_cast<T*>(args.y));
  });
}

/// The sums come first: dx may be dy.
void launch(const GroupNormBackward& args, LaunchStream stream) {
  const NormGroups& shape = args.shape;
  const ColumnGrid grid = column_grid(shape.dtype, shape.batch * shape.pixels, shape.groups * shape.group_channels,
                                      is_aligned(args.dy, 16) && is_aligned(args.x, 16), kWideColumnBlocks);
  auto* partials = static_cast<double*>(args.scratch);
  with_type(shape.dtype, [&]<typename T>() {
    const auto* dy = static_cast<const T*>(args.dy);
    const auto* x = static_cast<const T*>(args.x);
    with_vector<T>(grid, [&]<int V>() {
      launch_kernel(parameter_gradients_kernel<T, V>, blocks_of(grid), kColumnThreads, 0, stream, grid, args, dy, x,
                    partials);
    });
    finish_columns<2>(grid, partials, FinishParameters{args.dgamma, args.dbeta}, stream);
    launch_kernel(group_input_gradient_kernel<T>, static_cast<unsigned>(shape.batch * shape.groups), kThreads, 0,
                  stream, args, dy, x, static_cast<T*>(args.dx));
  });
}

}  // namespace athanor::kernels::cuda
