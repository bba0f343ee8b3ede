// batch_norm, its gradient, its evaluation form and the parts of a synchronised batch norm on GPUs: own kernels over
// images with channels innermost.
#include "kernels/cuda/batch_norm.h"

#include "backend/cuda/op.h"
#include "backend/node_settings.h"

namespace athanor::cuda {
namespace {

float norm_eps(const Node& node) {
  return static_cast<float>(node.attributes.real("eps"));
}

/// `index`: the input that is normalised.
std::function<NodeChoice(const CudaChooseContext&)> choose_batch_norm(std::size_t index, std::string name) {
  return [index, name = std::move(name)](const CudaChooseContext& context) {
    NodeChoice choice = choose_nhwc(context, name);
    const Value& x = context.input(index);
    const Rows rows = rows_of(x);
    choice.scratch_bytes = kernels::cuda::batch_norm_scratch_bytes(x.dtype, rows.rows(), rows.channels);
    return choice;
  };
}

/// Needs no scratch where the convolution has summed.
NodeChoice choose_batch_norm_forward(const CudaChooseContext& context) {
  NodeChoice choice = choose_batch_norm(0, "batch_norm")(context);
  if (context.has_input(4)) choice.scratch_bytes = 0;
  return choice;
}

Step prepare_batch_norm_forward(const CudaBinding& b) {
  const Rows rows = rows_of(b.input_value(0));
  const kernels::cuda::BatchNorm args{.dtype = b.input_value(0).dtype,
                                      .rows = rows.rows(),
                                      .channels = rows.channels,
                                      .x = b.input<void>(0),
                                      .residual = b.input<void>(3),
                                      .gamma = b.input<float>(1),
                                      .beta = b.input<float>(2),
                                      .sums = b.input<float>(4),
                                      .squares = b.input<float>(5),
                                      .y = b.output<void>(0),
                                      .mean = b.output<float>(1),
                                      .inv_std = b.output<float>(2),
                                      .batch_mean = b.output<float>(3),
                                      .batch_var = b.output<float>(4),
                                      .mask = b.output<std::uint8_t>(5),
                                      .eps = norm_eps(b.node),
                                      .relu = has_relu(b.node),
                                      .scratch = b.scratch};
  return [args, &device = b.device](Stream stream) { launch(device, args, stream); };
}

/// What all passes of the backward direction read.
kernels::cuda::BatchNormBackward batch_norm_gradient_of(const CudaBinding& b) {
  const Rows rows = rows_of(b.input_value(1));
  return {.dtype = b.input_value(1).dtype,
          .rows = rows.rows(),
          .channels = rows.channels,
          .dy = b.input<void>(0),
          .dy2 = b.input<void>(7),
          .x = b.input<void>(1),
          .gamma = b.input<float>(2),
          .beta = b.input<float>(3),
          .mean = b.input<float>(4),
          .inv_std = b.input<float>(5),
          .relu = has_relu(b.node),
          .scratch = b.scratch};
}

Step prepare_batch_norm_backward(const CudaBinding& b) {
  kernels::cuda::BatchNormBackward args = batch_norm_gradient_of(b);
  args.y = b.input<void>(6);
  args.mask = b.input<std::uint8_t>(8);
  args.dx = b.output<void>(0);
  args.dgamma = b.output<float>(1);
  args.dbeta = b.output<float>(2);
  args.dresidual = b.output<void>(3);
  return [args, &device = b.device](Stream stream) { launch(device, args, stream); };
}

kernels::cuda::BatchNormInference batch_norm_inference_of(const CudaBinding& b) {
  const Rows rows = rows_of(b.input_value(0));
  return {.dtype = b.input_value(0).dtype,
          .rows = rows.rows(),
          .channels = rows.channels,
          .x = b.input<void>(0),
          .residual = b.input<void>(5),
          .gamma = b.input<float>(1),
          .beta = b.input<float>(2),
          .mean = b.input<float>(3),
          .y = b.output<void>(0),
          .relu = has_relu(b.node),
          .scratch = b.scratch};
}

Step prepare_batch_norm_inference(const CudaBinding& b) {
  kernels::cuda::BatchNormInference args = batch_norm_inference_of(b);
  args.var = b.input<float>(4);
  args.eps = norm_eps(b.node);
  return [args, &device = b.device](Stream stream) { launch(device, args, stream); };
}

Step prepare_batch_norm_apply(const CudaBinding& b) {
  kernels::cuda::BatchNormInference args = batch_norm_inference_of(b);
  args.inv_std = b.input<float>(4);
  return [args, &device = b.device](Stream stream) { launch(device, args, stream); };
}

Step prepare_batch_norm_moments(const CudaBinding& b) {
  const Rows rows = rows_of(b.input_value(0));
  const kernels::cuda::BatchNormMoments args{.dtype = b.input_value(0).dtype,
                                             .rows = rows.rows(),
                                             .channels = rows.channels,
                                             .x = b.input<void>(0),
                                             .moments = b.output<float>(0),
                                             .scratch = b.scratch};
  return [args, &device = b.device](Stream stream) { launch(device, args, stream); };
}

Step prepare_batch_norm_combine(const CudaBinding& b) {
  const Shape& shape = b.input_value(0).shape;
  const auto count = static_cast<double>(b.node.attributes.integer("count"));
  const kernels::cuda::BatchNormCombine args{.moments = b.input<float>(0),
                                             .shards = shape[0],
                                             .channels = shape[2],
                                             .count = count * static_cast<double>(shape[0]),
                                             .eps = norm_eps(b.node),
                                             .mean = b.output<float>(0),
                                             .inv_std = b.output<float>(1),
                                             .batch_mean = b.output<float>(2),
                                             .batch_var = b.output<float>(3)};
  return [args, &device = b.device](Stream stream) { launch(device, args, stream); };
}

Step prepare_batch_norm_sums(const CudaBinding& b) {
  kernels::cuda::BatchNormSums args{.gradient = batch_norm_gradient_of(b), .sums = b.output<float>(0)};
  args.gradient.y = b.input<void>(6);
  args.gradient.dgamma = b.output<float>(1);
  args.gradient.dbeta = b.output<float>(2);
  args.gradient.dresidual = b.output<void>(3);
  return [args, &device = b.device](Stream stream) { launch(device, args, stream); };
}

Step prepare_batch_norm_input_gradient(const CudaBinding& b) {
  kernels::cuda::BatchNormInputGradient args{
      .gradient = batch_norm_gradient_of(b), .sums = b.input<float>(6), .shards = b.input_value(6).shape[0]};
  args.gradient.dx = b.output<void>(0);
  return [args, &device = b.device](Stream stream) { launch(device, args, stream); };
}

const RegisterCudaOp kBatchNorm{"batch_norm", {choose_batch_norm_forward, prepare_batch_norm_forward}};
const RegisterCudaOp kBatchNormBackward{"batch_norm_backward",
                                        {choose_batch_norm(1, "batch_norm_backward"), prepare_batch_norm_backward}};
const RegisterCudaOp kBatchNormInference{"batch_norm_inference",
                                         {choose_batch_norm(0, "batch_norm_inference"), prepare_batch_norm_inference}};
const RegisterCudaOp kBatchNormMoments{"batch_norm_moments",
                                       {choose_batch_norm(0, "batch_norm_moments"), prepare_batch_norm_moments}};
const RegisterCudaOp kBatchNormCombine{"batch_norm_combine",
                                       {nhwc_kernel("batch_norm_combine"), prepare_batch_norm_combine}};
const RegisterCudaOp kBatchNormApply{"batch_norm_apply",
                                     {choose_batch_norm(0, "batch_norm_apply"), prepare_batch_norm_apply}};
const RegisterCudaOp kBatchNormSums{"batch_norm_sums",
                                    {choose_batch_norm(1, "batch_norm_sums"), prepare_batch_norm_sums}};
const RegisterCudaOp kBatchNormInputGradient{
    "batch_norm_input_gradient",
    {choose_batch_norm(1, "batch_norm_input_gradient"), prepare_batch_norm_input_gradient}};

}  // namespace
}  // namespace athanor::cuda
