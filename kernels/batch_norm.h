// Batch normalisation over [N, C, H, W] per channel (Ioffe and Szegedy 2015), fused with a residual addition and ReLU.
// Training reads x twice, or once where its sums are given, and writes y once; nothing else of its size is touched.
#pragma once

#include <cstddef>

#include "base/dtype.h"
#include "kernels/channel_view.h"
#include "kernels/isa.h"

namespace athanor::kernels {

/// Bytes of `scratch` (64-byte aligned) that the training kernels need, for any layout of `view`.
std::size_t batch_norm_scratch_bytes(const ChannelView& view, int threads);

/// Of one channel: y = x · scale + shift. Inlined, so that no copy for one instruction set serves another.
struct NormAffine {
  float scale, shift;
};
[[gnu::always_inline]] inline NormAffine norm_affine(const float* gamma, const float* beta, float mean, float inv_std,
                                                     std::int64_t channel) {
  const float scale = (gamma ? gamma[channel] : 1.0f) * inv_std;
  return {scale, static_cast<float>((beta ? beta[channel] : 0.0f) - static_cast<double>(mean) * scale)};
}

/// y = relu(x · scale + shift + residual), scale = gamma · inv_std, shift = beta − mean · scale,
/// inv_std = 1 / sqrt(biased variance + eps). x, residual, y: `dtype` (f32 or bf16); per-channel arrays: float [C].
struct BatchNormForward {
  ChannelView view;
  DType dtype = DType::f32;
  std::int64_t channels = 0;  ///< channels in use, C; those beyond are layout padding, written as 0. 0: all of view's
  const void* x = nullptr;
  const void* residual = nullptr;  ///< or null
  const float* gamma = nullptr;    ///< null: ones
  const float* beta = nullptr;     ///< null: zeros
  /// Σ x and Σ x² of each channel, where whoever wrote x has them, or null: x is then read once. A block of channels
  /// (`view.lanes`) with a mean so far from 0 that Σ x² has lost the variance is summed anew.
  const float* sum = nullptr;
  const float* squares = nullptr;
  void* y = nullptr;            ///< may be x or residual; null: only the per-channel arrays are made
  float* mean = nullptr;        ///< saved for the backward pass
  float* inv_std = nullptr;     ///< saved for the backward pass
  float* batch_mean = nullptr;  ///< for running_mean; or null
  float* batch_var = nullptr;   ///< for running_var: unbiased, var · n / (n − 1) (n = 1: 0); or null
  float* scale = nullptr;       ///< or null
  float* shift = nullptr;       ///< or null
  float eps = 1e-5f;
  bool relu = false;
  void* scratch = nullptr;
  int threads = 1;
};

/// With dz = (dy + dy2) where the forward output is not ≤ 0 (all of it without relu):
/// dbeta = Σ dz, dgamma = Σ dz · (x − mean) · inv_std,
/// dx = gamma · inv_std · (dz − dbeta / n − (x − mean) · inv_std · dgamma / n), dresidual = dz.
struct BatchNormBackward {
  ChannelView view;
  DType dtype = DType::f32;
  std::int64_t channels = 0;  ///< as in BatchNormForward
  const void* dy = nullptr;
  const void* dy2 = nullptr;  ///< second addend of the incoming gradient, or null
  const void* x = nullptr;
  const void* y = nullptr;  ///< forward output, for relu's mask; null: recomputed from x (right only without residual)
  const float* gamma = nullptr;
  const float* beta = nullptr;  ///< read only to recompute the mask
  const float* mean = nullptr;
  const float* inv_std = nullptr;
  void* dx = nullptr;         ///< may be dy, dy2 or x
  void* dresidual = nullptr;  ///< or null; may be dy or dy2, not dx
  float* dgamma = nullptr;
  float* dbeta = nullptr;
  bool relu = false;
  /// Σ dz and Σ dz · (x − mean) of each channel, where whoever wrote dy has masked it and has them, or null: one pass
  /// is left then, without dy2, dresidual and relu.
  const float* sum = nullptr;
  const float* products = nullptr;
  void* scratch = nullptr;
  int threads = 1;
};

/// The forward pass with statistics that are given instead of the batch's. `scratch` as above.
struct BatchNormInference {
  ChannelView view;
  DType dtype = DType::f32;
  std::int64_t channels = 0;  ///< as in BatchNormForward
  const void* x = nullptr;
  const void* residual = nullptr;  ///< or null
  const float* gamma = nullptr;
  const float* beta = nullptr;
  const float* running_mean = nullptr;
  const float* running_var = nullptr;
  const float* inv_std = nullptr;  ///< or null: made of running_var and eps
  void* y = nullptr;               ///< may be x or residual
  float eps = 1e-5f;
  bool relu = false;
  void* scratch = nullptr;
  int threads = 1;
};

struct BatchNormKernels {
  void (*forward)(const BatchNormForward&);
  void (*backward)(const BatchNormBackward&);
  void (*inference)(const BatchNormInference&);
};

/// The kernels for an instruction set that this processor has.
const BatchNormKernels& batch_norm_kernels(Isa isa = active_isa());

}  // namespace athanor::kernels
