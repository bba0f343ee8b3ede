// How an op runs on a GPU: a choice of layouts and engines when the plan is made, and a step that enqueues its work,
// with every pointer bound before step 0. Each file of backend/cuda/ops/ registers its ops; nothing else names them.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "backend/binding.h"
#include "backend/cuda/device.h"
#include "backend/cuda/engine_choice.h"
#include "backend/cuda/layouts.h"

namespace athanor::cuda {

/// What an op may ask when the plan is made.
struct CudaChooseContext : ChooseContext {
  EngineChoice& engines;  ///< which engine runs a product, and with how much workspace
  Precision precision;    ///< what a recipe's train.precision and train.deterministic mean for products
};

/// What an op sees when its step is made.
struct CudaBinding : Binding {
  Device& device;
  EngineChoice& engines;
  Precision precision;
  const float* loss_scale = nullptr;  ///< a number in device memory that the gradient of a loss is multiplied by
};

/// Enqueues one node's work on a stream. Allocates nothing, may be captured.
using Step = std::function<void(Stream)>;

struct CudaOp {
  std::function<NodeChoice(const CudaChooseContext&)> choose;
  std::function<Step(const CudaBinding&)> prepare;
};

struct RegisterCudaOp {
  RegisterCudaOp(std::string_view name, CudaOp op);
};

/// The CUDA side of an op, or nullptr.
const CudaOp* find_cuda_op(std::string_view name);

/// How a plan names a kernel of ours: "athanor:batch_norm".
std::string own_implementation(std::string_view kernel);

/// An own kernel for which images are "nhwc" and everything else plain, whatever came in.
NodeChoice choose_nhwc(const CudaChooseContext& context, std::string_view kernel);
std::function<NodeChoice(const CudaChooseContext&)> nhwc_kernel(std::string name);

/// An own kernel that goes over flat memory: everything of the rank of input `index` has that input's layout, but for a
/// padded one, which is "nhwc" then.
std::function<NodeChoice(const CudaChooseContext&)> kernel_that_follows(std::size_t index, std::string name);

/// A value [N, C, H, W] or [N, C] as rows of channels: [rows, channels], channels innermost.
struct Rows {
  std::int64_t samples = 0;   ///< N
  std::int64_t pixels = 1;    ///< H · W
  std::int64_t channels = 0;  ///< C in memory
  std::int64_t rows() const { return samples * pixels; }
};
Rows rows_of(const Value& value);

}  // namespace athanor::cuda
