// Softmax and the losses, with their gradients. Matrices are row-major [N, F] (or [N, K] logits) in f32 or bf16;
// results are float. Formulas are PyTorch's (torch.nn.functional), reduction "mean".
#pragma once

#include <cstdint>

#include "base/dtype.h"
#include "kernels/isa.h"

namespace athanor::kernels {

/// With w the class weights (ones if null), e the smoothing, K classes, sample i of class y:
/// sample_loss = −(1 − e) · w[y] · log p[y] − e / K · Σ_c w[c] · log p[c]; loss = Σ sample_loss / Σ w[y].
/// Masked samples (label −1) have loss 0 and count nowhere; a batch of only masked samples has loss 0.
struct CrossEntropyForward {
  DType dtype = DType::f32;
  std::int64_t batch = 0;
  std::int64_t classes = 0;
  const void* logits = nullptr;          ///< [N, K]
  const std::int32_t* labels = nullptr;  ///< [N], 0…K−1, or −1: masked
  const float* class_weights = nullptr;  ///< [K] or null
  float label_smoothing = 0;
  float* loss = nullptr;         ///< [1]
  float* sample_loss = nullptr;  ///< [N] or null
  double* loss_sum = nullptr;    ///< Σ sample_loss, or null
  double* weight_sum = nullptr;  ///< Σ w[y], or null
  std::int64_t* top1 = nullptr;  ///< samples whose label has the largest logit (ties: the lower class wins), or null
  std::int64_t* top5 = nullptr;  ///< samples whose label is among the five largest, or null
};

/// dlogits = scale · ∂loss/∂logits; rows of masked samples are 0.
struct CrossEntropyBackward {
  DType dtype = DType::f32;
  std::int64_t batch = 0;
  std::int64_t classes = 0;
  const void* logits = nullptr;
  const std::int32_t* labels = nullptr;
  const float* class_weights = nullptr;
  float label_smoothing = 0;
  float scale = 1;
  void* dlogits = nullptr;  ///< may be logits
};

struct LossKernels {
  /// y = softmax of each row; y may be x.
  void (*softmax)(DType dtype, const void* x, void* y, std::int64_t rows, std::int64_t columns, int threads);
  /// dx = y · (dy − Σ dy · y) for each row; dx may be dy.
  void (*softmax_backward)(DType dtype, const void* dy, const void* y, void* dx, std::int64_t rows,
                           std::int64_t columns, int threads);
  void (*cross_entropy)(const CrossEntropyForward&);
  void (*cross_entropy_backward)(const CrossEntropyBackward&);
  /// Mean of (x − t)² over all elements.
  void (*mse)(DType dtype, const void* x, const void* t, std::int64_t count, float* loss);
  /// dx = scale · 2 / count · (x − t).
  void (*mse_backward)(DType dtype, const void* x, const void* t, std::int64_t count, float scale, void* dx);
  /// Mean of max(x, 0) − x · t + log(1 + e^−|x|) over all elements.
  void (*bce_with_logits)(DType dtype, const void* x, const void* t, std::int64_t count, float* loss);
  /// dx = scale / count · (sigmoid(x) − t).
  void (*bce_with_logits_backward)(DType dtype, const void* x, const void* t, std::int64_t count, float scale,
                                   void* dx);
  /// t[n, labels[n]] = 1, the rest 0; masked rows are 0.
  void (*one_hot)(const std::int32_t* labels, std::int64_t batch, std::int64_t classes, float* t);
};

const LossKernels& loss_kernels(Isa isa = active_isa());

}  // namespace athanor::kernels
