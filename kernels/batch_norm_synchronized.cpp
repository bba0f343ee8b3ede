#include "kernels/batch_norm_synchronized.h"

#include <bit>
#include <cmath>

namespace athanor::kernels {
namespace {

/// Σ term(s) for s in [first, first + count): n leaves are split at the largest power of two below n, as in tree_sum.
template <typename Term>
double sum_tree(std::int64_t first, std::int64_t count, const Term& term) {
  if (count == 1) return term(first);
  const auto left = static_cast<std::int64_t>(std::bit_floor(static_cast<std::uint64_t>(count - 1)));
  return sum_tree(first, left, term) + sum_tree(first + left, count - left, term);
}

}  // namespace

double sum_shards(const float* values, std::int64_t shards, std::int64_t stride) {
  return sum_tree(0, shards, [&](std::int64_t s) { return static_cast<double>(values[s * stride]); });
}

void combine_batch_norm_moments(const BatchNormCombine& args) {
  const auto shards = static_cast<double>(args.shards);
  const std::int64_t stride = 2 * args.channels;
  for (std::int64_t c = 0; c < args.channels; ++c) {
    const float* means = args.moments + c;
    const float* variances = means + args.channels;
    const double mean = sum_shards(means, args.shards, stride) / shards;
    const double var = sum_tree(0, args.shards,
                                [&](std::int64_t s) {
                                  const double off = static_cast<double>(means[s * stride]) - mean;
                                  return static_cast<double>(variances[s * stride]) + off * off;
                                }) /
                       shards;
    args.mean[c] = static_cast<float>(mean);
    args.inv_std[c] = static_cast<float>(1 / std::sqrt(var + static_cast<double>(args.eps)));
    args.batch_mean[c] = args.mean[c];
    args.batch_var[c] = args.count > 1 ? static_cast<float>(var * (args.count / (args.count - 1))) : 0.0f;
  }
}

}  // namespace athanor::kernels
