// Batch normalisation (Ioffe and Szegedy 2015) over the rows of [rows, channels], channels innermost, fused with a
// residual addition and ReLU. Three launches a direction: a pass that sums, a small one that adds up the blocks' sums
// and one that writes; of small tensors the one that writes adds up too; it is alone where the sums are given. Formulas
// and the order of roundings are those of kernels/batch_norm.h. x, y and their gradients: f32, bf16 or f16; all else
// f32 [channels].
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/dtype.h"
#include "kernels/cuda/column_grid.h"

namespace athanor::kernels::cuda {

/// Bytes of `scratch` (16-byte aligned) of every kernel here.
inline std::size_t batch_norm_scratch_bytes(DType dtype, std::int64_t rows, std::int64_t channels) {
  constexpr std::size_t kFactors = 5;
  return column_scratch_bytes(dtype, rows, channels, 2) + kFactors * static_cast<std::size_t>(channels) * sizeof(float);
}

/// y = relu(x · scale + shift + residual), scale = gamma · inv_std, shift = beta − mean · scale,
/// inv_std = 1 / sqrt(biased variance + eps).
struct BatchNorm {
  DType dtype = DType::f32;
  std::int64_t rows = 0;
  std::int64_t channels = 0;
  const void* x = nullptr;
  const void* residual = nullptr;  ///< or null
  const float* gamma = nullptr;
  const float* beta = nullptr;
  /// Σ x and Σ x², where a convolution has summed already: x is read once then, and there is no scratch. The variance
  /// is their difference and clamped at 0: the sums' own error, times 1 + mean² / variance, is an error of it, so
  /// inputs must not be far from 0 for their spread. Null: summed here, round a value near the mean, which costs no
  /// digits.
  const float* sums = nullptr;
  const float* squares = nullptr;
  void* y = nullptr;  ///< may be x or residual
  float* mean = nullptr;
  float* inv_std = nullptr;
  float* batch_mean = nullptr;  ///< for the running statistics; or null
  float* batch_var = nullptr;   ///< unbiased (one row: 0); or null
  /// [rows · channels / 8], or null: bit i % 8 of byte i / 8 says whether element i of y is not ≤ 0. Only for 16-bit
  /// types, channels in eights and x, residual and y aligned to 16 bytes.
  std::uint8_t* mask = nullptr;
  float eps = 1e-5f;
  bool relu = false;
  void* scratch = nullptr;
};

/// The same with statistics that are given.
struct BatchNormInference {
  DType dtype = DType::f32;
  std::int64_t rows = 0;
  std::int64_t channels = 0;
  const void* x = nullptr;
  const void* residual = nullptr;
  const float* gamma = nullptr;
  const float* beta = nullptr;
  const float* mean = nullptr;
  const float* var = nullptr;      ///< or null, where inv_std is given
  const float* inv_std = nullptr;  ///< or null: made of var and eps
  void* y = nullptr;
  float eps = 1e-5f;
  bool relu = false;
  void* scratch = nullptr;
};

/// With dz = dy + dy2 where the forward output is not ≤ 0 (everywhere without relu):
/// dbeta = Σ dz, dgamma = Σ dz · (x − mean) · inv_std, dresidual = dz,
/// dx = gamma · inv_std · (dz − dbeta / n − (x − mean) · inv_std · dgamma / n).
struct BatchNormBackward {
  DType dtype = DType::f32;
  std::int64_t rows = 0;
  std::int64_t channels = 0;
  const void* dy = nullptr;
  const void* dy2 = nullptr;  ///< or null
  const void* x = nullptr;
  /// For relu's mask: the forward output, or the mask that it gave (alignment as there); both null: recomputed from x,
  /// which is right only without residual.
  const void* y = nullptr;
  const std::uint8_t* mask = nullptr;
  const float* gamma = nullptr;
  const float* beta = nullptr;  ///< read only to recompute the mask
  const float* mean = nullptr;
  const float* inv_std = nullptr;
  void* dx = nullptr;         ///< may be dy, dy2 or x
  void* dresidual = nullptr;  ///< or null; may be dy or dy2, not dx
  float* dgamma = nullptr;
  float* dbeta = nullptr;
  bool relu = false;
  void* scratch = nullptr;
};

/// Synchronised over shards, forward: mean and biased variance of one shard.
struct BatchNormMoments {
  DType dtype = DType::f32;
  std::int64_t rows = 0;
  std::int64_t channels = 0;
  const void* x = nullptr;
  float* moments = nullptr;  ///< [2, channels]
  void* scratch = nullptr;
};

/// Statistics of all shards, summed in double along the tree of tree_sum (kernels/reduce.h).
struct BatchNormCombine {
  const float* moments = nullptr;  ///< [shards, 2, channels]
  std::int64_t shards = 1;
  std::int64_t channels = 0;
  double count = 1;  ///< elements of a channel in all shards
  float eps = 1e-5f;
  float* mean = nullptr;
  float* inv_std = nullptr;
  float* batch_mean = nullptr;
  float* batch_var = nullptr;  ///< unbiased
};

/// Synchronised, backward: the sums of one shard, as [2, channels] and as its dbeta and dgamma. `gradient.dx` is not
/// written.
struct BatchNormSums {
  BatchNormBackward gradient;
  float* sums = nullptr;  ///< dbeta, dgamma
};

/// dx from the sums of all shards. `gradient.dresidual`, dgamma and dbeta are not written.
struct BatchNormInputGradient {
  BatchNormBackward gradient;
  const float* sums = nullptr;  ///< [shards, 2, channels]
  std::int64_t shards = 1;
};

}  // namespace athanor::kernels::cuda
