// What ops that are library products have in common: a plan that names the library's engine ("cudnn:eng7_k24=21") and
// how far the product is fused ("conv+bias+relu"), and a step that runs exactly that.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "backend/cuda/op.h"
#include "backend/node_settings.h"

namespace athanor::cuda::ops {

inline constexpr std::size_t kScratchAlignment = 512;

constexpr std::size_t align_scratch(std::size_t bytes) {
  return (bytes + kScratchAlignment - 1) / kScratchAlignment * kScratchAlignment;
}

/// Of conv2d and linear: whether there is a bias (input 2).
bool wants_bias(const Node& node);

/// "cudnn:" or "cublaslt:" and the engine, or an engine of our own: "athanor:direct".
std::string product_implementation(const ProductSpec& spec, const ChosenEngine& chosen);

/// Whether a product is too short to fill a GPU, so that others may run beside it. A longer one is slowed down by them
/// more than they gain.
inline bool leaves_room(const ChosenEngine& chosen) {
  constexpr double kFillsGpuSeconds = 40e-6;
  return chosen.seconds < kFillsGpuSeconds;
}

/// The engine of a product that has no second form. Throws DeviceError, with the layer's name, where there is none.
const ChosenEngine& required_engine(const CudaChooseContext& context, const ProductSpec& spec);

/// Runs `spec` by the engine that the plan names, on tensors in the order of product.h.
Step run_product(const CudaBinding& binding, const ProductSpec& spec, std::vector<void*> tensors, void* workspace);

/// Runs them in order; empty ones are left out.
Step in_order(std::vector<Step> steps);

/// y = act(y + bias) behind a product that could not take them along: y [rows, channels], bias float32 or nullptr.
Step add_bias(const CudaBinding& binding, DType dtype, const Rows& rows, void* y, const float* bias, bool relu);
/// What that costs, roughly, against a product that takes them along.
double add_bias_seconds(DType dtype, const Rows& rows);

/// The gradient of a bias: sums [channels] float32 over the rows of dy. Scratch: column_sums_scratch_bytes.
Step sum_columns(const CudaBinding& binding, DType dtype, const Rows& rows, const void* dy, float* sums, void* scratch);

}  // namespace athanor::cuda::ops
