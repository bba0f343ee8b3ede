// Ops with one number per sample and channel on the CPU: the global average pool and squeeze-and-excitation's scale.
#include "kernels/channel_ops.h"
#include "backend/cpu/ops/support.h"
#include "backend/node_settings.h"

namespace athanor::cpu {
namespace {

/// `image`: the value [N, C, H, W], seen as `view`.
kernels::ChannelOp op_of(const Binding& b, const Value& image, const kernels::ChannelView& view) {
  return {.view = view, .dtype = image.dtype, .channels = image.shape[1], .threads = b.threads};
}

Step prepare_pool(const Binding& b) {
  return [op = op_of(b, b.input_value(0), input_view(b, 0)), x = b.inputs[0], y = b.outputs[0],
          run = kernels::channel_kernels().global_avg_pool] { run(op, x, y); };
}

/// The incoming gradient [N, C] says nothing of the layout of the image's.
NodeChoice choose_pool_backward(const ChooseContext& context) {
  NodeChoice choice = plain_kernel("global_avg_pool_backward")(context);
  choice.outputs[0] = preferred_layout(context.output(0));
  return choice;
}

Step prepare_pool_backward(const Binding& b) {
  return [op = op_of(b, b.output_value(0), output_view(b, 0)), dy = b.inputs[0], dx = b.outputs[0],
          run = kernels::channel_kernels().global_avg_pool_backward] { run(op, dy, dx); };
}

Step prepare_scale(const Binding& b) {
  const kernels::Scale args{.x = b.input<void>(0),
                            .s = b.input<void>(1),
                            .shift = b.input<void>(3),
                            .shift_factor = static_cast<float>(b.node.attributes.real("shift_factor")),
                            .residual = b.input<void>(2),
                            .y = b.outputs[0],
                            .relu = has_relu(b.node)};
  return [op = op_of(b, b.input_value(0), input_view(b, 0)), args, run = kernels::channel_kernels().scale] {
    run(op, args);
  };
}

Step prepare_scale_sums(const Binding& b) {
  const kernels::ScaleSums args{.dy = b.input<void>(0),
                                .dy2 = b.input<void>(3),
                                .y = b.input<void>(2),
                                .x = b.input<void>(1),
                                .dz = b.output<void>(1),
                                .ds = b.outputs[0]};
  return [op = op_of(b, b.input_value(1), input_view(b, 1)), args, run = kernels::channel_kernels().scale_sums] {
    run(op, args);
  };
}

Step prepare_scale_backward(const Binding& b) {
  return [op = op_of(b, b.input_value(1), input_view(b, 1)), dy = b.inputs[0], x = b.inputs[1], s = b.inputs[2],
          dx = b.outputs[0], ds = b.outputs[1],
          run = kernels::channel_kernels().scale_backward] { run(op, dy, x, s, dx, ds); };
}

const RegisterCpuOp kPool{"global_avg_pool", {kernel_that_follows(0, "global_avg_pool"), prepare_pool}};
const RegisterCpuOp kPoolBackward{"global_avg_pool_backward", {choose_pool_backward, prepare_pool_backward}};
const RegisterCpuOp kScale{"scale", {kernel_that_follows(0, "scale"), prepare_scale}};
const RegisterCpuOp kScaleSums{"scale_sums", {kernel_that_follows(1, "scale_sums"), prepare_scale_sums}};
const RegisterCpuOp kScaleBackward{"scale_backward",
                                   {kernel_that_follows(1, "scale_backward"), prepare_scale_backward}};

}  // namespace
}  // namespace athanor::cpu
