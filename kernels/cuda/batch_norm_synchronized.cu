// Batch norm whose statistics are those of all shards of the batch: the sums of one shard, and what follows when those
// of all have come together.
#include "kernels/cuda/batch_norm.h"
#include "kernels/cuda/batch_norm_gradients.h"

namespace athanor::kernels::cuda {
namespace {

using namespace batch_norm;

constexpr int kThreads = 128;

/// Σ term(s) for s in [0, count): n leaves are split at the largest power of two below n, as in tree_sum. A stack of
/// complete subtrees, of which the smaller are to the right.
template <typename Term>
ATHANOR_DEVICE double sum_tree(std::int64_t count, Term term) {
  constexpr int kDeepest = 40;
  double sums[kDeepest] = {};
  int depth = 0;
  for (std::int64_t s = 0; s < count; ++s) {
    sums[depth++] = term(s);
    for (std::int64_t done = s + 1; done % 2 == 0; done /= 2) {
      --depth;
      sums[depth - 1] += sums[depth];
    }
  }
  while (depth > 1) {
    --depth;
    sums[depth - 1] += sums[depth];
  }
  return sums[0];
}

struct FinishMoments {
  float* moments;
  std::int64_t channels;
  double n;

  ATHANOR_DEVICE void operator()(std::int64_t c, const double (&sums)[2]) const {
    const MeanAndVariance result = mean_and_variance(sums[0], sums[1], n);
    moments[c] = static_cast<float>(result.mean);
    moments[channels + c] = static_cast<float>(result.var);
  }
};

struct FinishSums {
  const float* inv_std;
  float* sums;
  float* dgamma;
  float* dbeta;
  std::int64_t channels;

  ATHANOR_DEVICE void operator()(std::int64_t c, const double (&totals)[2]) const {
    sums[c] = dbeta[c] = static_cast<float>(totals[0]);
    sums[channels + c] = dgamma[c] = static_cast<float>(totals[1] * static_cast<double>(inv_std[c]));
  }
};

ATHANOR_KERNEL __launch_bounds__(kThreads) combine_kernel(BatchNormCombine args) {
  const std::int64_t c = grid_thread(), stride = 2 * args.channels;
  if (c >= args.channels) return;
  const float* means = args.moments + c;
  const float* variances = means + args.channels;
  const auto shards = static_cast<double>(args.shards);
  const double mean =
      sum_tree(args.shards, [&](std::int64_t s) { return static_cast<double>(means[s * stride]); }) / shards;
  const double var = sum_tree(args.shards,
                              [&](std::int64_t s) {
                                const double off = static_cast<double>(means[s * stride]) - mean;
                                return static_cast<double>(variances[s * stride]) + off * off;
                              }) /
                     shards;
  args.mean[c] = args.batch_mean[c] = static_cast<float>(mean);
  args.inv_std[c] = inv_std_of(var, args.eps);
  args.batch_var[c] = args.count > 1 ? static_cast<float>(var * (args.count / (args.count - 1))) : 0.0f;
}

ATHANOR_KERNEL __launch_bounds__(kThreads)
    combine_gradients_kernel(const float* sums, std::int64_t shards, GradientFactors factors, double n) {
  const std::int64_t c = grid_thread(), stride = 2 * factors.channels;
  if (c >= factors.channels) return;
  const float* dgammas = sums + factors.channels;
  const double dbeta = sum_tree(shards, [&](std::int64_t s) { return static_cast<double>(sums[s * stride + c]); });
  const double dgamma = sum_tree(shards, [&](std::int64_t s) { return static_cast<double>(dgammas[s * stride + c]); });
  factors.set(c, dbeta, dgamma / static_cast<double>(factors.inv_std[c]), n);
}

unsigned blocks_for(std::int64_t channels) {
  return static_cast<unsigned>((channels + kThreads - 1) / kThreads);
}

}  // namespace

void launch(const BatchNormMoments& args, LaunchStream stream) {
  const ColumnGrid grid = column_grid(args.dtype, args.rows, args.channels, all_aligned(args.x));
  const FinishMoments finish{args.moments, args.channels, static_cast<double>(args.rows)};
  with_type(args.dtype, [&]<typename T>() {
    with_vector<T>(grid, [&]<int V>() {
      launch_kernel(sum_moments_kernel<T, V>, blocks_of(grid), kColumnThreads, 0, stream, grid,
                    static_cast<const T*>(args.x), partials_of(args.scratch));
    });
  });
  finish_columns<2>(grid, partials_of(args.scratch), finish, stream);
}

void launch(const BatchNormCombine& args, LaunchStream stream) {
  launch_independent(combine_kernel, blocks_for(args.channels), kThreads, 0, stream, args);
}

void launch(const BatchNormSums& args, LaunchStream stream) {
  const BatchNormBackward& gradient = args.gradient;
  launch_gradient_sums(
      gradient, FinishSums{gradient.inv_std, args.sums, gradient.dgamma, gradient.dbeta, gradient.channels}, stream);
}

void launch(const BatchNormInputGradient& args, LaunchStream stream) {
  const BatchNormBackward& gradient = args.gradient;
  const GradientFactors factors{gradient.gamma,
                                gradient.beta,
                                gradient.mean,
                                gradient.inv_std,
                                factors_of(gradient.scratch, gradient.dtype, gradient.rows, gradient.channels),
                                gradient.channels};
  launch_independent(combine_gradients_kernel, blocks_for(gradient.channels), kThreads, 0, stream, args.sums,
                     args.shards, factors, static_cast<double>(gradient.rows * args.shards));
  launch_input_gradient(gradient, stream);
}

}  // namespace athanor::kernels::cuda
