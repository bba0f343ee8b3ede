// batch_norm, what a convolution leaves of it, its gradient and its evaluation form on the CPU: hand-written kernels in
// every activation layout.
#include "kernels/batch_norm.h"

#include "backend/cpu/ops/batch_norm.h"
#include "backend/cpu/ops/support.h"

namespace athanor::cpu {

std::function<NodeChoice(const ChooseContext&)> choose_batch_norm(std::size_t index, const char* name) {
  return [index, follow = kernel_that_follows(index, name)](const ChooseContext& context) {
    NodeChoice choice = follow(context);
    const kernels::ChannelView view = view_of(context.input(index), choice.inputs[index]);
    choice.scratch_bytes = kernels::batch_norm_scratch_bytes(view, context.threads);
    return choice;
  };
}

namespace {

Step prepare_batch_norm_forward(const Binding& b) {
  const kernels::BatchNormForward args{.view = input_view(b, 0),
                                       .dtype = b.input_value(0).dtype,
                                       .channels = b.input_value(0).shape[1],
                                       .x = b.input<void>(0),
                                       .residual = b.input<void>(3),
                                       .gamma = b.input<float>(1),
                                       .beta = b.input<float>(2),
                                       .sum = b.input<float>(4),
                                       .squares = b.input<float>(5),
                                       .y = b.output<void>(0),
                                       .mean = b.output<float>(1),
                                       .inv_std = b.output<float>(2),
                                       .batch_mean = b.output<float>(3),
                                       .batch_var = b.output<float>(4),
                                       .eps = static_cast<float>(b.node.attributes.real("eps")),
                                       .relu = has_relu(b.node),
                                       .scratch = b.scratch,
                                       .threads = b.threads};
  return [args, run = kernels::batch_norm_kernels().forward] { run(args); };
}

/// The statistics of batch_norm and what it would do to x.
Step prepare_factors(const Binding& b) {
  const kernels::BatchNormForward args{.view = input_view(b, 0),
                                       .dtype = b.input_value(0).dtype,
                                       .channels = b.input_value(0).shape[1],
                                       .x = b.input<void>(0),
                                       .gamma = b.input<float>(1),
                                       .beta = b.input<float>(2),
                                       .sum = b.input<float>(4),
                                       .squares = b.input<float>(5),
                                       .mean = b.output<float>(0),
                                       .inv_std = b.output<float>(1),
                                       .batch_mean = b.output<float>(2),
                                       .batch_var = b.output<float>(3),
                                       .scale = b.output<float>(4),
                                       .shift = b.output<float>(5),
                                       .eps = static_cast<float>(b.node.attributes.real("eps")),
                                       .scratch = b.scratch,
                                       .threads = b.threads};
  return [args, run = kernels::batch_norm_kernels().forward] { run(args); };
}

Step prepare_batch_norm_backward(const Binding& b) {
  const kernels::BatchNormBackward args{.view = input_view(b, 1),
                                        .dtype = b.input_value(1).dtype,
                                        .channels = b.input_value(1).shape[1],
                                        .dy = b.input<void>(0),
                                        .dy2 = b.input<void>(7),
                                        .x = b.input<void>(1),
                                        .y = b.input<void>(6),
                                        .gamma = b.input<float>(2),
                                        .beta = b.input<float>(3),
                                        .mean = b.input<float>(4),
                                        .inv_std = b.input<float>(5),
                                        .dx = b.output<void>(0),
                                        .dresidual = b.output<void>(3),
                                        .dgamma = b.output<float>(1),
                                        .dbeta = b.output<float>(2),
                                        .relu = has_relu(b.node),
                                        .sum = b.input<float>(9),
                                        .products = b.input<float>(10),
                                        .scratch = b.scratch,
                                        .threads = b.threads};
  return [args, run = kernels::batch_norm_kernels().backward] { run(args); };
}

Step prepare_inference(const Binding& b) {
  const kernels::BatchNormInference args{.view = input_view(b, 0),
                                         .dtype = b.input_value(0).dtype,
                                         .channels = b.input_value(0).shape[1],
                                         .x = b.input<void>(0),
                                         .residual = b.input<void>(5),
                                         .gamma = b.input<float>(1),
                                         .beta = b.input<float>(2),
                                         .running_mean = b.input<float>(3),
                                         .running_var = b.input<float>(4),
                                         .y = b.output<void>(0),
                                         .eps = static_cast<float>(b.node.attributes.real("eps")),
                                         .relu = has_relu(b.node),
                                         .scratch = b.scratch,
                                         .threads = b.threads};
  return [args, run = kernels::batch_norm_kernels().inference] { run(args); };
}

const RegisterCpuOp kBatchNormForward{"batch_norm", {choose_batch_norm(0, "batch_norm"), prepare_batch_norm_forward}};
const RegisterCpuOp kFactors{"batch_norm_factors", {choose_batch_norm(0, "batch_norm_factors"), prepare_factors}};
const RegisterCpuOp kBackward{"batch_norm_backward",
                              {choose_batch_norm(1, "batch_norm_backward"), prepare_batch_norm_backward}};
const RegisterCpuOp kInference{"batch_norm_inference",
                               {choose_batch_norm(0, "batch_norm_inference"), prepare_inference}};

}  // namespace
}  // namespace athanor::cpu
