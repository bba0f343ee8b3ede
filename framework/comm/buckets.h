// The provider of reduce steps: how the outputs of a step are cut into buckets, so that the first ones travel while
// backward still computes the last.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "comm/communicator.h"
#include "graph/plan.h"
#include "graph/update_plan.h"

namespace athanor {

/// Bytes of a bucket. The first one is small, so that communication starts early.
struct BucketSizes {
  std::size_t first = std::size_t{1} << 20;
  std::size_t others = std::size_t{25} << 20;
};

/// Those of the recipe's `comm.bucket_mb` (10⁶ bytes); none: the sizes above.
BucketSizes bucket_sizes(std::optional<double> bucket_mb);

/// `comm.bucket_mb: auto` among several ranks: the smallest size of which the ranks sum nearly as many bytes a second
/// as of larger ones, measured; the same on all ranks. Collective, a fraction of a second. Bits do not depend on it.
double measure_bucket_mb(Communicator& communicator);

/// Cuts the outputs arena of a training plan by bytes, in the order in which backward finishes them; bounds are
/// multiples of the blocks of kernels/reduce.h, so that the gradient's norm has one order of summation. Statistics and
/// metrics are the first bucket: they are complete before backward begins, so that everybody knows the loss before
/// anything is updated. Nothing for a plan that does not train.
std::vector<ReduceStep> plan_reduce_steps(const Plan& plan, const BucketSizes& sizes);

}  // namespace athanor
