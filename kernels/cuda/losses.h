// Softmax, the losses with their gradients, and what is counted beside them, over row-major [rows, columns]. Formulas
// are those of kernels/losses.h. Matrices: f32, bf16 or f16; labels: int32, −1 masks a row; results: f32. Losses are
// summed in double, in the same order every time.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/dtype.h"

namespace athanor::kernels::cuda {

struct RowMatrix {
  DType dtype = DType::f32;
  std::int64_t rows = 0;
  std::int64_t columns = 0;
};

/// y = softmax of each row; y may be x.
struct Softmax {
  RowMatrix matrix;
  const void* x = nullptr;
  void* y = nullptr;
};

/// dx = y · (dy − Σ dy · y) for each row; dx may be dy.
struct SoftmaxBackward {
  RowMatrix matrix;
  const void* dy = nullptr;
  const void* y = nullptr;
  void* dx = nullptr;
};

/// Bytes of the scratch memory (8-byte aligned) of CrossEntropy, MeanLoss and CountCorrect.
inline std::size_t loss_scratch_bytes(std::int64_t rows) {
  return 2 * static_cast<std::size_t>(rows) * sizeof(double);
}

struct CrossEntropy {
  RowMatrix matrix;  ///< logits
  const void* logits = nullptr;
  const std::int32_t* labels = nullptr;
  const float* class_weights = nullptr;  ///< or null: ones
  float label_smoothing = 0;
  float* loss = nullptr;         ///< [1]
  float* sample_loss = nullptr;  ///< [rows], or null
  void* scratch = nullptr;
};

/// What multiplies the gradient of a loss: numbers in device memory, so that they may change from step to step.
struct GradientScale {
  const float* dloss = nullptr;
  const float* loss_scale = nullptr;  ///< or null: 1
};

struct CrossEntropyBackward {
  RowMatrix matrix;
  GradientScale scale;
  const void* logits = nullptr;
  const std::int32_t* labels = nullptr;
  const float* class_weights = nullptr;
  float label_smoothing = 0;
  void* dlogits = nullptr;
};

enum class MeanLossKind : std::uint8_t { squared_error, binary_cross_entropy_with_logits };

/// The mean over all elements, and over those of each row.
struct MeanLoss {
  RowMatrix matrix;
  MeanLossKind kind = MeanLossKind::squared_error;
  const void* x = nullptr;
  const void* target = nullptr;
  float* loss = nullptr;
  float* sample_loss = nullptr;  ///< [rows], or null
  void* scratch = nullptr;
};

struct MeanLossBackward {
  RowMatrix matrix;
  MeanLossKind kind = MeanLossKind::squared_error;
  GradientScale scale;
  const void* x = nullptr;
  const void* target = nullptr;
  void* dx = nullptr;
};

/// target[n, labels[n]] = 1, the rest 0: float32.
struct OneHot {
  std::int64_t rows = 0;
  std::int64_t classes = 0;
  const std::int32_t* labels = nullptr;
  float* target = nullptr;
};

/// counts [2]: labels whose logit is the largest, and among the five largest. A label's rank is how many classes stand
/// before it: larger logits, equal ones of a lower class, and NaN; a NaN label is last.
struct CountCorrect {
  RowMatrix matrix;
  const void* logits = nullptr;
  const std::int32_t* labels = nullptr;
  float* counts = nullptr;
  std::int32_t* ranks = nullptr;  ///< [rows], −1 where masked; or null
  void* scratch = nullptr;
};

}  // namespace athanor::kernels::cuda
