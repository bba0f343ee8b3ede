// Layer normalisation (Ba et al. 2016) and group normalisation (Wu and He 2018), over plain [N, F] and NCHW arrays.
#pragma once

#include "base/dtype.h"
#include "kernels/isa.h"

namespace athanor::kernels {

/// A sample is `groups` groups of `group_channels` channels of `pixels` elements; each group is normalised with its own
/// mean and biased variance, y = (x − mean) · inv_std · gamma[c] + beta[c], inv_std = 1 / sqrt(var + eps).
/// Group norm of [N, C, H, W]: {N, G, C / G, H · W}, gamma and beta [C].
/// Layer norm over F = all but the batch: {N, 1, F, 1}, gamma and beta [F].
struct GroupNormShape {
  std::int64_t batch = 0;
  std::int64_t groups = 0;
  std::int64_t group_channels = 0;
  std::int64_t pixels = 0;
};

/// x, y: `dtype` (f32 or bf16); gamma, beta [groups · group_channels] or null (1, 0); mean, inv_std [N, groups].
struct GroupNormForward {
  GroupNormShape shape;
  DType dtype = DType::f32;
  const void* x = nullptr;
  const float* gamma = nullptr;
  const float* beta = nullptr;
  void* y = nullptr;  ///< may be x
  float* mean = nullptr;
  float* inv_std = nullptr;
  float eps = 1e-5f;
  int threads = 1;
};

/// dgamma[c] = Σ dy · xhat, dbeta[c] = Σ dy over batch and pixels; with g = dy · gamma and m elements a group,
/// dx = inv_std · (g − Σ g / m − xhat · Σ (g · xhat) / m).
struct GroupNormBackward {
  GroupNormShape shape;
  DType dtype = DType::f32;
  const void* dy = nullptr;
  const void* x = nullptr;
  const float* gamma = nullptr;
  const float* mean = nullptr;
  const float* inv_std = nullptr;
  void* dx = nullptr;       ///< may be dy
  float* dgamma = nullptr;  ///< or null
  float* dbeta = nullptr;   ///< or null
  int threads = 1;
};

struct GroupNormKernels {
  void (*forward)(const GroupNormForward&);
  void (*backward)(const GroupNormBackward&);
};

const GroupNormKernels& group_norm_kernels(Isa isa = active_isa());

}  // namespace athanor::kernels
