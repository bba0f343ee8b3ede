// prepare_input on GPUs: raw pixels to the network's input, channels last, padded or folded, in one pass.
#include "kernels/cuda/prepare_input.h"

#include <algorithm>

#include "backend/cuda/op.h"
#include "backend/cuda/ops/convolution_layouts.h"
#include "base/error.h"

namespace athanor::cuda {
namespace {

NodeChoice choose_prepare_input(const CudaChooseContext& context) {
  const std::int64_t channels = context.input(0).shape[1];
  if (channels > kernels::cuda::kMostInputChannels) {
    throw DeviceError("layer {}: images with {} channels; the CUDA back end takes at most {}", context.node.layer,
                      channels, kernels::cuda::kMostInputChannels);
  }
  NodeChoice choice = choose_plain(context, own_implementation("prepare_input"));
  choice.outputs[0] = ops::input_layout(context.graph, context.node.outputs[0]);
  return choice;
}

Step prepare_prepare_input(const CudaBinding& b) {
  const Shape& images = b.input_value(0).shape;
  kernels::cuda::PrepareInput args{.dtype = b.output_value(0).dtype,
                                   .batch = images[0],
                                   .channels = static_cast<std::int32_t>(images[1]),
                                   .height = static_cast<std::int32_t>(images[2]),
                                   .width = static_cast<std::int32_t>(images[3]),
                                   .order = order_of(images, b.output_layouts[0]),
                                   .images = b.input<std::uint8_t>(0),
                                   .transforms = b.input<kernels::SampleTransform>(1),
                                   .y = b.output<void>(0)};
  const auto fill = [&](std::string_view name, float* to) {
    const auto& values = b.node.attributes.get<std::vector<double>>(name);
    std::transform(values.begin(), values.end(), to, [](double value) { return static_cast<float>(value); });
  };
  fill("mean", args.mean);
  fill("std", args.std);
  return [args, &device = b.device](Stream stream) { launch(device, args, stream); };
}

const RegisterCudaOp kPrepareInput{"prepare_input", {choose_prepare_input, prepare_prepare_input}};

}  // namespace
}  // namespace athanor::cuda
