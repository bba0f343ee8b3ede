// The forward pass of batch norm, in training and with given statistics.
#include "kernels/cuda/batch_norm.h"

#include "kernels/cuda/batch_norm_parts.h"

namespace athanor::kernels::cuda {
namespace {

using namespace batch_norm;

constexpr int kThreads = 128;

/// Statistics and factors of a channel from Σ x and Σ x².
struct FinishForward {
  const float* gamma;
  const float* beta;
  float* mean;
  float* inv_std;
  float* batch_mean;
  float* batch_var;
  float* factors;
  std::int64_t channels;
  double n;
  float eps;

  ATHANOR_DEVICE void operator()(std::int64_t c, const double (&sums)[2]) const {
    const MeanAndVariance result = mean_and_variance(sums[0], sums[1], n);
    const auto m = static_cast<float>(result.mean);
    const float inv = inv_std_of(result.var, eps), scale = scale_of(gamma[c], inv);
    mean[c] = m;
    inv_std[c] = inv;
    if (batch_mean != nullptr) batch_mean[c] = m;
    if (batch_var != nullptr) batch_var[c] = n > 1 ? static_cast<float>(result.var * (n / (n - 1))) : 0.0f;
    factors[c] = scale;
    factors[channels + c] = shift_of(beta[c], m, scale);
  }
};

ATHANOR_KERNEL __launch_bounds__(kThreads)
    given_sums_kernel(const float* sums, const float* squares, FinishForward finish) {
  const std::int64_t c = grid_thread();
  if (c >= finish.channels) return;
  const double both[2] = {sums[c], squares[c]};
  finish(c, both);
}

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

/// The writing pass of both forms.
template <typename Arguments>
void launch_normalize(const Arguments& args, const ColumnGrid& grid, const float* factors, LaunchStream stream) {
  const Variant variant_now = variant();
  with_type(args.dtype, [&]<typename T>() {
    with_vector<T>(grid, [&]<int V>() {
      with_unroll<T, V>(variant_now.write_unroll, [&]<int kUnroll>() {
        const WriteBlocks write = write_blocks(grid, kUnroll, variant_now.write_bands);
        auto kernel = args.residual != nullptr ? normalize_kernel<true, T, V, kUnroll, false>
                                               : normalize_kernel<false, T, V, kUnroll, false>;
        if constexpr (std::is_same_v<T, Float16> && V == 8) {
          if (variant_now.streams) {
            kernel = args.residual != nullptr ? normalize_kernel<true, T, V, kUnroll, true>
                                              : normalize_kernel<false, T, V, kUnroll, true>;
          }
        }
        const auto go = [&](auto launcher) {
          launcher(kernel, write.blocks, kColumnThreads, 0, stream, grid, write.bands, static_cast<const T*>(args.x),
                   static_cast<const T*>(args.residual), factors, factors + args.channels, static_cast<T*>(args.y),
                   args.relu);
        };
        if (variant_now.early & 1) {
          go([](auto... a) { launch_early_independent(a...); });
        } else {
          go([](auto... a) { launch_independent(a...); });
        }
      });
    });
  });
}

}  // namespace

void launch(const BatchNorm& args, LaunchStream stream) {
  const Variant variant_now = variant();
  const ColumnGrid grid =
      column_grid(args.dtype, args.rows, args.channels, all_aligned(args.x, args.residual, args.y),
                  variant_now.sum_blocks > 0 ? variant_now.sum_blocks : kColumnBlocks, variant_now.least_rows);
  float* factors = factors_of(args.scratch, args.dtype, args.rows, args.channels);
  const FinishForward finish{args.gamma,   args.beta,       args.mean,
                             args.inv_std, args.batch_mean, args.batch_var,
                             factors,      args.channels,   static_cast<double>(args.rows),
                             args.eps};
  if (args.sums != nullptr) {
    launch_independent(given_sums_kernel, blocks_for(args.channels), kThreads, 0, stream, args.sums, args.squares,
                       finish);
  } else {
    with_type(args.dtype, [&]<typename T>() {
      with_vector<T>(grid, [&]<int V>() {
        with_unroll<T, V>(variant_now.sum_unroll, [&]<int kUnroll>() {
          const auto go = [&](auto launcher) {
            launcher(sum_moments_kernel<T, V, kUnroll, FinishForward>, blocks_of(grid), kColumnThreads, 0, stream, grid,
                     static_cast<const T*>(args.x), partials_of(args.scratch), finish);
          };
          if (variant_now.early & 2) {
            go([](auto... a) { launch_early(a...); });
          } else {
            go([](auto... a) { launch_kernel(a...); });
          }
        });
      });
    });
  }
  launch_normalize(args, grid, factors, stream);
}

void launch(const BatchNormInference& args, LaunchStream stream) {
  const ColumnGrid grid = column_grid(args.dtype, args.rows, args.channels, all_aligned(args.x, args.residual, args.y));
  float* factors = factors_of(args.scratch, args.dtype, args.rows, args.channels);
  launch_independent(given_statistics_kernel, blocks_for(args.channels), kThreads, 0, stream, args, factors);
  launch_normalize(args, grid, factors, stream);
}

}  // namespace athanor::kernels::cuda
