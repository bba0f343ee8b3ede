#include "backend/cuda/ops/product_op.h"

#include <memory>

#include "backend/cuda/direct_convolutions.h"
#include "base/error.h"
#include "kernels/cuda/bias.h"

namespace athanor::cuda::ops {
namespace {

std::string_view library_of(const ProductSpec& spec) {
  return std::holds_alternative<ConvolutionSpec>(spec) ? "cudnn" : "cublaslt";
}

}  // namespace

bool wants_bias(const Node& node) {
  return node.inputs.size() > 2 && node.inputs[2] != kNoValue;
}

std::string product_implementation(const ProductSpec& spec, const ChosenEngine& chosen) {
  return is_own_engine(chosen.engine) ? chosen.engine : fmt::format("{}:{}", library_of(spec), chosen.engine);
}

const ChosenEngine& required_engine(const CudaChooseContext& context, const ProductSpec& spec) {
  const ChosenEngine* chosen = context.engines.choose(spec);
  if (chosen == nullptr) {
    throw DeviceError("layer {}: {} has no engine for {}", context.node.layer,
                      library_of(spec) == "cudnn" ? "cuDNN" : "cuBLAS", text_of(spec));
  }
  return *chosen;
}

Step run_product(const CudaBinding& binding, const ProductSpec& spec, std::vector<void*> tensors, void* workspace) {
  const std::string_view planned = binding.implementation;
  const std::size_t colon = planned.find(':');
  const bool is_own = is_own_engine(planned);
  ATHANOR_CHECK(is_own || planned.substr(0, colon) == library_of(spec), "layer {}: {} is planned as {}",
                binding.node.layer, text_of(spec), planned);
  const std::shared_ptr<const Product> product =
      binding.engines.make(spec, is_own ? planned : planned.substr(colon + 1));
  // cuBLASLt looks at the address of a workspace that it does not use.
  if (product->workspace_bytes() == 0) workspace = nullptr;
  return [product, tensors = std::move(tensors), workspace, &device = binding.device](Stream stream) {
    device.run(*product, tensors, workspace, stream);
  };
}

Step in_order(std::vector<Step> steps) {
  std::erase_if(steps, [](const Step& step) { return !step; });
  if (steps.size() == 1) return std::move(steps[0]);
  return [steps = std::move(steps)](Stream stream) {
    for (const Step& step : steps) step(stream);
  };
}

Step add_bias(const CudaBinding& binding, DType dtype, const Rows& rows, void* y, const float* bias, bool relu) {
  if (bias == nullptr && !relu) return {};
  const kernels::cuda::BiasActivation arguments{
      .dtype = dtype, .rows = rows.rows(), .channels = rows.channels, .y = y, .bias = bias, .relu = relu};
  return [arguments, &device = binding.device](Stream stream) { launch(device, arguments, stream); };
}

double add_bias_seconds(DType dtype, const Rows& rows) {
  // A launch, then a read and a write of all of y at about the rate of an A100's memory.
  constexpr double kLaunchSeconds = 2e-6, kBytesPerSecond = 1.5e12;
  const double bytes = static_cast<double>(rows.rows() * rows.channels) * static_cast<double>(size_of(dtype));
  return kLaunchSeconds + 2 * bytes / kBytesPerSecond;
}

Step sum_columns(const CudaBinding& binding, DType dtype, const Rows& rows, const void* dy, float* sums,
                 void* scratch) {
  const kernels::cuda::ColumnSums arguments{.dtype = dtype,
                                            .rows = rows.rows(),
                                            .channels = rows.channels,
                                            .dy = dy,
                                            .y = nullptr,
                                            .sums = sums,
                                            .scratch = scratch};
  return [arguments, &device = binding.device](Stream stream) { launch(device, arguments, stream); };
}

}  // namespace athanor::cuda::ops
