// Layer normalisation (Ba et al. 2016) and group normalisation (Wu and He 2018). Formulas are those of
// kernels/group_norm.h; memory is [batch, pixels, channels], channels innermost.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/dtype.h"
#include "kernels/cuda/column_grid.h"

namespace athanor::kernels::cuda {

/// Group norm of images: {dtype, N, G, C / G, H · W}. Layer norm over F = all but the batch, in plain layout:
/// {dtype, N, 1, F, 1}.
struct NormGroups {
  DType dtype = DType::f32;
  std::int64_t batch = 0;
  std::int64_t groups = 0;
  std::int64_t group_channels = 0;
  std::int64_t pixels = 0;
};

/// gamma, beta [groups · group_channels]; mean, inv_std [batch, groups]; all f32.
struct GroupNorm {
  NormGroups shape;
  const void* x = nullptr;
  const float* gamma = nullptr;
  const float* beta = nullptr;
  void* y = nullptr;  ///< may be x
  float* mean = nullptr;
  float* inv_std = nullptr;
  float eps = 1e-5f;
};

struct GroupNormBackward {
  NormGroups shape;
  const void* dy = nullptr;
  const void* x = nullptr;
  const float* gamma = nullptr;
  const float* mean = nullptr;
  const float* inv_std = nullptr;
  void* dx = nullptr;  ///< may be dy
  float* dgamma = nullptr;
  float* dbeta = nullptr;
  void* scratch = nullptr;  ///< group_norm_scratch_bytes, 16-byte aligned
};

inline std::size_t group_norm_scratch_bytes(const NormGroups& shape) {
  return column_scratch_bytes(shape.dtype, shape.batch * shape.pixels, shape.groups * shape.group_channels, 2);
}

}  // namespace athanor::kernels::cuda
