// Max and average pooling over windows on GPUs, with their gradients: images with channels innermost.
#include "backend/cuda/op.h"
#include "kernels/cuda/pool2d.h"

namespace athanor::cuda {
namespace {

using kernels::cuda::PoolShape;

PoolShape pool_shape(const CudaBinding& b, const Shape& image, const Shape& pooled) {
  const auto window = [&](std::string_view name) {
    const std::vector<std::int64_t>& values = b.node.attributes.integers(name);
    return std::array<int, 2>{static_cast<int>(values.front()), static_cast<int>(values.back())};
  };
  const auto kernel = window("kernel"), stride = window("stride"), padding = window("padding");
  return {.dtype = b.input_value(0).dtype,
          .samples = image[0],
          .channels = static_cast<int>(image[1]),
          .height = static_cast<int>(image[2]),
          .width = static_cast<int>(image[3]),
          .out_height = static_cast<int>(pooled[2]),
          .out_width = static_cast<int>(pooled[3]),
          .kernel_y = kernel[0],
          .kernel_x = kernel[1],
          .stride_y = stride[0],
          .stride_x = stride[1],
          .pad_y = padding[0],
          .pad_x = padding[1]};
}

PoolShape pool_shape_forward(const CudaBinding& b) {
  return pool_shape(b, b.input_value(0).shape, b.output_value(0).shape);
}
PoolShape pool_shape_backward(const CudaBinding& b) {
  return pool_shape(b, b.output_value(0).shape, b.input_value(0).shape);
}

Step prepare_max_pool(const CudaBinding& b) {
  const kernels::cuda::MaxPool args{.shape = pool_shape_forward(b),
                                    .x = b.inputs[0],
                                    .y = b.outputs[0],
                                    .indices = b.output<void>(1),
                                    .index_dtype = b.has_output(1) ? b.output_value(1).dtype : DType::i32};
  return [args, &device = b.device](Stream stream) { launch(device, args, stream); };
}

Step prepare_max_pool_backward(const CudaBinding& b) {
  const kernels::cuda::MaxPoolBackward args{.shape = pool_shape_backward(b),
                                            .dy = b.inputs[0],
                                            .indices = b.inputs[1],
                                            .index_dtype = b.input_value(1).dtype,
                                            .dx = b.outputs[0]};
  return [args, &device = b.device](Stream stream) { launch(device, args, stream); };
}

Step prepare_avg_pool(const CudaBinding& b) {
  const kernels::cuda::AvgPool args{.shape = pool_shape_forward(b),
                                    .count_include_pad = b.node.attributes.flag("count_include_pad"),
                                    .x = b.inputs[0],
                                    .y = b.outputs[0]};
  return [args, &device = b.device](Stream stream) { launch(device, args, stream); };
}

Step prepare_avg_pool_backward(const CudaBinding& b) {
  const kernels::cuda::AvgPoolBackward args{.shape = pool_shape_backward(b),
                                            .count_include_pad = b.node.attributes.flag("count_include_pad"),
                                            .dy = b.inputs[0],
                                            .dx = b.outputs[0]};
  return [args, &device = b.device](Stream stream) { launch(device, args, stream); };
}

const RegisterCudaOp kMaxPool{"max_pool2d", {nhwc_kernel("max_pool2d"), prepare_max_pool}};
const RegisterCudaOp kMaxPoolBackward{"max_pool2d_backward",
                                      {nhwc_kernel("max_pool2d_backward"), prepare_max_pool_backward}};
const RegisterCudaOp kAvgPool{"avg_pool2d", {nhwc_kernel("avg_pool2d"), prepare_avg_pool}};
const RegisterCudaOp kAvgPoolBackward{"avg_pool2d_backward",
                                      {nhwc_kernel("avg_pool2d_backward"), prepare_avg_pool_backward}};

}  // namespace
}  // namespace athanor::cuda
