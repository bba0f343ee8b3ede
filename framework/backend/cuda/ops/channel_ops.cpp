// Ops with one number per sample and channel on GPUs: the global average pool and squeeze-and-excitation's scale.
#include "kernels/cuda/channel_ops.h"

#include "backend/cuda/op.h"

namespace athanor::cuda {
namespace {

kernels::cuda::ChannelShape channel_shape_of(const Value& image) {
  const Rows rows = rows_of(image);
  return {.dtype = image.dtype, .batch = rows.samples, .pixels = rows.pixels, .channels = rows.channels};
}

template <typename Arguments>
Step launch_always(const CudaBinding& b, const Arguments& args) {
  return [args, &device = b.device](Stream stream) { launch(device, args, stream); };
}

Step prepare_pool(const CudaBinding& b) {
  return launch_always(b,
                       kernels::cuda::GlobalAvgPool{
                           .shape = channel_shape_of(b.input_value(0)), .x = b.input<void>(0), .y = b.output<void>(0)});
}

Step prepare_pool_gradient(const CudaBinding& b) {
  return launch_always(
      b, kernels::cuda::GlobalAvgPoolBackward{
             .shape = channel_shape_of(b.output_value(0)), .dy = b.input<void>(0), .dx = b.output<void>(0)});
}

Step prepare_scale(const CudaBinding& b) {
  return launch_always(b, kernels::cuda::ChannelScale{.shape = channel_shape_of(b.input_value(0)),
                                                      .x = b.input<void>(0),
                                                      .s = b.input<void>(1),
                                                      .y = b.output<void>(0)});
}

Step prepare_scale_gradient(const CudaBinding& b) {
  return launch_always(b, kernels::cuda::ChannelScaleBackward{.shape = channel_shape_of(b.input_value(1)),
                                                              .dy = b.input<void>(0),
                                                              .x = b.input<void>(1),
                                                              .s = b.input<void>(2),
                                                              .dx = b.output<void>(0),
                                                              .ds = b.output<void>(1)});
}

const RegisterCudaOp kPool{"global_avg_pool", {nhwc_kernel("global_avg_pool"), prepare_pool}};
const RegisterCudaOp kPoolBackward{"global_avg_pool_backward",
                                   {nhwc_kernel("global_avg_pool_backward"), prepare_pool_gradient}};
const RegisterCudaOp kScale{"scale", {nhwc_kernel("scale"), prepare_scale}};
const RegisterCudaOp kScaleBackward{"scale_backward", {nhwc_kernel("scale_backward"), prepare_scale_gradient}};

}  // namespace
}  // namespace athanor::cuda
