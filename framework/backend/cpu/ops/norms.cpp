// Layer and group normalisation on the CPU, with their gradients, over plain memory.
#include "backend/cpu/ops/support.h"
#include "kernels/group_norm.h"

namespace athanor::cpu {
namespace {

using kernels::GroupNormShape;

/// A layer norm is one group of as many channels as a sample has elements.
GroupNormShape layer_shape(const Binding&, const Shape& x) {
  return {.batch = x[0], .groups = 1, .group_channels = x.elements() / x[0], .pixels = 1};
}

GroupNormShape group_shape(const Binding& b, const Shape& x) {
  const std::int64_t groups = b.node.attributes.integer("groups");
  return {.batch = x[0], .groups = groups, .group_channels = x[1] / groups, .pixels = x[2] * x[3]};
}

using ShapeOf = GroupNormShape (*)(const Binding&, const Shape&);

Step prepare_norm_forward(const Binding& b, ShapeOf shape_of) {
  const kernels::GroupNormForward args{.shape = shape_of(b, b.input_value(0).shape),
                                       .dtype = b.input_value(0).dtype,
                                       .x = b.inputs[0],
                                       .gamma = b.input<float>(1),
                                       .beta = b.input<float>(2),
                                       .y = b.outputs[0],
                                       .mean = b.output<float>(1),
                                       .inv_std = b.output<float>(2),
                                       .eps = static_cast<float>(b.node.attributes.real("eps")),
                                       .threads = b.threads};
  return [args, run = kernels::group_norm_kernels().forward] { run(args); };
}

Step prepare_norm_backward(const Binding& b, ShapeOf shape_of) {
  const kernels::GroupNormBackward args{.shape = shape_of(b, b.input_value(1).shape),
                                        .dtype = b.input_value(1).dtype,
                                        .dy = b.inputs[0],
                                        .x = b.inputs[1],
                                        .gamma = b.input<float>(2),
                                        .mean = b.input<float>(3),
                                        .inv_std = b.input<float>(4),
                                        .dx = b.outputs[0],
                                        .dgamma = b.output<float>(1),
                                        .dbeta = b.output<float>(2),
                                        .threads = b.threads};
  return [args, run = kernels::group_norm_kernels().backward] { run(args); };
}

struct RegisterNorm {
  RegisterNorm(const std::string& name, ShapeOf shape_of) {
    RegisterCpuOp(name,
                  {plain_kernel(name), [shape_of](const Binding& b) { return prepare_norm_forward(b, shape_of); }});
    RegisterCpuOp(name + "_backward", {plain_kernel(name + "_backward"),
                                       [shape_of](const Binding& b) { return prepare_norm_backward(b, shape_of); }});
  }
};

const RegisterNorm kLayerNorm{"layer_norm", layer_shape};
const RegisterNorm kGroupNorm{"group_norm", group_shape};

}  // namespace
}  // namespace athanor::cpu
