// Batch normalisation whose statistics are those of several shards. Each shard sums over its own elements and hands the
// sums to the others; what comes back is put together along the tree, the same on every shard, and the pass that writes
// the activation follows. That of the forward direction is BatchNormKernels::inference with `inv_std`.
#pragma once

#include <cstdint>

#include "kernels/batch_norm.h"

namespace athanor::kernels {

/// Mean and biased variance of one shard. `scratch` as in BatchNormForward.
struct BatchNormMoments {
  ChannelView view;
  DType dtype = DType::f32;
  std::int64_t channels = 0;  ///< as in BatchNormForward
  const void* x = nullptr;
  float* mean = nullptr;  ///< [C]
  float* var = nullptr;   ///< [C]
  void* scratch = nullptr;
  int threads = 1;
};

/// Of shards of one size: mean = Σ mean_s / S, var = Σ (var_s + (mean_s − mean)²) / S, sums in double along the tree of
/// tree_sum.
struct BatchNormCombine {
  const float* moments = nullptr;  ///< [S, 2, C]: mean and biased variance of each shard
  std::int64_t shards = 1;
  std::int64_t channels = 0;
  double count = 1;  ///< elements of a channel in all shards
  float eps = 1e-5f;
  float* mean = nullptr;        ///< [C], as the arrays below
  float* inv_std = nullptr;     ///< 1 / sqrt(var + eps)
  float* batch_mean = nullptr;  ///< for running_mean
  float* batch_var = nullptr;   ///< for running_var: unbiased
};
void combine_batch_norm_moments(const BatchNormCombine& args);

/// The sums of one shard, Σ dz and Σ dz · (x − mean) · inv_std: into `sums`, and as dbeta and dgamma. `dx` is not
/// touched; dresidual = dz where wanted.
struct BatchNormSums {
  BatchNormBackward gradient;
  float* sums = nullptr;  ///< [2, C]
};

/// dx from the sums of all shards. `dresidual`, `dgamma` and `dbeta` are not touched.
struct BatchNormInputGradient {
  BatchNormBackward gradient;
  const float* sums = nullptr;  ///< [S, 2, C]
  std::int64_t shards = 1;
};

struct BatchNormSynchronizedKernels {
  void (*moments)(const BatchNormMoments&);
  void (*sums)(const BatchNormSums&);
  void (*input_gradient)(const BatchNormInputGradient&);
};

/// The kernels for an instruction set that this processor has.
const BatchNormSynchronizedKernels& batch_norm_synchronized_kernels(Isa isa = active_isa());

/// Σ over the shards s of values[s · stride], in double along the tree of tree_sum.
double sum_shards(const float* values, std::int64_t shards, std::int64_t stride);

}  // namespace athanor::kernels
