// The parts of a synchronised batch norm on the CPU: hand-written kernels in every activation layout.
#include "kernels/batch_norm_synchronized.h"

#include "backend/cpu/ops/batch_norm.h"
#include "backend/cpu/ops/support.h"

namespace athanor::cpu {
namespace {

Step prepare_moments(const Binding& b) {
  const std::int64_t channels = b.input_value(0).shape[1];
  const kernels::BatchNormMoments args{.view = input_view(b, 0),
                                       .dtype = b.input_value(0).dtype,
                                       .channels = channels,
                                       .x = b.input<void>(0),
                                       .mean = b.output<float>(0),
                                       .var = b.output<float>(0) + channels,
                                       .scratch = b.scratch,
                                       .threads = b.threads};
  return [args, run = kernels::batch_norm_synchronized_kernels().moments] { run(args); };
}

Step prepare_combine(const Binding& b) {
  const Shape& shape = b.input_value(0).shape;
  const auto count = static_cast<double>(b.node.attributes.integer("count"));
  const kernels::BatchNormCombine args{.moments = b.input<float>(0),
                                       .shards = shape[0],
                                       .channels = shape[2],
                                       .count = count * static_cast<double>(shape[0]),
                                       .eps = static_cast<float>(b.node.attributes.real("eps")),
                                       .mean = b.output<float>(0),
                                       .inv_std = b.output<float>(1),
                                       .batch_mean = b.output<float>(2),
                                       .batch_var = b.output<float>(3)};
  return [args] { kernels::combine_batch_norm_moments(args); };
}

Step prepare_apply(const Binding& b) {
  const kernels::BatchNormInference args{.view = input_view(b, 0),
                                         .dtype = b.input_value(0).dtype,
                                         .channels = b.input_value(0).shape[1],
                                         .x = b.input<void>(0),
                                         .residual = b.input<void>(5),
                                         .gamma = b.input<float>(1),
                                         .beta = b.input<float>(2),
                                         .running_mean = b.input<float>(3),
                                         .inv_std = b.input<float>(4),
                                         .y = b.output<void>(0),
                                         .relu = has_relu(b.node),
                                         .scratch = b.scratch,
                                         .threads = b.threads};
  return [args, run = kernels::batch_norm_kernels().inference] { run(args); };
}

/// What both passes of the backward direction read.
kernels::BatchNormBackward gradient_of(const Binding& b) {
  return {.view = input_view(b, 1),
          .dtype = b.input_value(1).dtype,
          .channels = b.input_value(1).shape[1],
          .dy = b.input<void>(0),
          .dy2 = b.input<void>(7),
          .x = b.input<void>(1),
          .gamma = b.input<float>(2),
          .beta = b.input<float>(3),
          .mean = b.input<float>(4),
          .inv_std = b.input<float>(5),
          .relu = has_relu(b.node),
          .scratch = b.scratch,
          .threads = b.threads};
}

Step prepare_sums(const Binding& b) {
  kernels::BatchNormSums args{.gradient = gradient_of(b), .sums = b.output<float>(0)};
  args.gradient.y = b.input<void>(6);
  args.gradient.dgamma = b.output<float>(1);
  args.gradient.dbeta = b.output<float>(2);
  args.gradient.dresidual = b.output<void>(3);
  return [args, run = kernels::batch_norm_synchronized_kernels().sums] { run(args); };
}

Step prepare_input_gradient(const Binding& b) {
  kernels::BatchNormInputGradient args{
      .gradient = gradient_of(b), .sums = b.input<float>(6), .shards = b.input_value(6).shape[0]};
  args.gradient.dx = b.output<void>(0);
  return [args, run = kernels::batch_norm_synchronized_kernels().input_gradient] { run(args); };
}

const RegisterCpuOp kMoments{"batch_norm_moments", {choose_batch_norm(0, "batch_norm_moments"), prepare_moments}};
const RegisterCpuOp kCombine{"batch_norm_combine", {choose_plain, prepare_combine}};
const RegisterCpuOp kApply{"batch_norm_apply", {choose_batch_norm(0, "batch_norm_apply"), prepare_apply}};
const RegisterCpuOp kSums{"batch_norm_sums", {choose_batch_norm(1, "batch_norm_sums"), prepare_sums}};
const RegisterCpuOp kInputGradient{"batch_norm_input_gradient",
                                   {choose_batch_norm(1, "batch_norm_input_gradient"), prepare_input_gradient}};

}  // namespace
}  // namespace athanor::cpu
