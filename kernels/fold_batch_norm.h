// A batch norm with running statistics taken into the weights and the bias of the convolution before it:
// weight' = weight · s, bias' = beta + (bias − mean) · s with s = gamma / √(var + eps) of the output channel.
#pragma once

#include <array>
#include <cstdint>

#include "base/dtype.h"
#include "kernels/isa.h"

namespace athanor::kernels {

/// Where the weights of an output channel lie: offsets count digits of these sizes, the last the fastest, and an
/// element's channel is Σ digit · step.
struct ChannelDigit {
  std::int64_t size = 1;
  std::int64_t step = 0;
};

struct FoldBatchNorm {
  std::int64_t channels = 0;
  const float* weight = nullptr;  ///< float32, dense
  const float* bias = nullptr;    ///< [channels], or null
  const float* gamma = nullptr;   ///< as the next ones: [channels]
  const float* beta = nullptr;
  const float* mean = nullptr;
  const float* var = nullptr;
  float eps = 1e-5f;
  DType dtype = DType::f32;       ///< of folded_weight: f32 or bf16
  void* folded_weight = nullptr;  ///< laid out as weight
  float* folded_bias = nullptr;   ///< [channels]
  float* scale = nullptr;         ///< scratch: [channels]
  std::array<ChannelDigit, 8> digits;
  int digit_count = 0;
  int threads = 1;
};

struct FoldKernels {
  void (*batch_norm)(const FoldBatchNorm&);
};

const FoldKernels& fold_kernels(Isa isa = active_isa());

}  // namespace athanor::kernels
