// Max and average pooling over windows on the CPU, with their gradients, in every activation layout.
#include "backend/cpu/ops/support.h"
#include "kernels/pool2d.h"

namespace athanor::cpu {
namespace {

using kernels::Pool2d;
using kernels::PoolIndex;
static_assert(sizeof(PoolIndex) == size_of(DType::i32), "the graph says that indices are int32");

/// `view`: of the image before pooling.
Pool2d pool_of(const Binding& b, const kernels::ChannelView& view, const Shape& image, const Shape& pooled) {
  const auto kernel = pair_of(b.node.attributes, "kernel");
  const auto stride = pair_of(b.node.attributes, "stride");
  const auto padding = pair_of(b.node.attributes, "padding");
  const AttributeValue* count_include_pad = b.node.attributes.find("count_include_pad");
  return {.input = view,
          .dtype = b.input_value(0).dtype,
          .height = image[2],
          .width = image[3],
          .out_height = pooled[2],
          .out_width = pooled[3],
          .kernel_y = kernel[0],
          .kernel_x = kernel[1],
          .stride_y = stride[0],
          .stride_x = stride[1],
          .pad_y = padding[0],
          .pad_x = padding[1],
          .count_include_pad = count_include_pad == nullptr || std::get<bool>(*count_include_pad),
          .threads = b.threads};
}

Pool2d forward_pool(const Binding& b) {
  return pool_of(b, input_view(b, 0), b.input_value(0).shape, b.output_value(0).shape);
}
Pool2d backward_pool(const Binding& b) {
  return pool_of(b, output_view(b, 0), b.output_value(0).shape, b.input_value(0).shape);
}

Step prepare_max(const Binding& b) {
  return [pool = forward_pool(b), x = b.inputs[0], y = b.outputs[0], indices = b.output<PoolIndex>(1),
          run = kernels::pool2d_kernels().max_pool] { run(pool, x, y, indices); };
}

Step prepare_max_backward(const Binding& b) {
  return [pool = backward_pool(b), dy = b.inputs[0], indices = b.input<PoolIndex>(1), dx = b.outputs[0],
          run = kernels::pool2d_kernels().max_pool_backward] { run(pool, dy, indices, dx); };
}

Step prepare_average(const Binding& b) {
  return [pool = forward_pool(b), x = b.inputs[0], y = b.outputs[0], run = kernels::pool2d_kernels().avg_pool] {
    run(pool, x, y);
  };
}

Step prepare_average_backward(const Binding& b) {
  return [pool = backward_pool(b), dy = b.inputs[0], dx = b.outputs[0],
          run = kernels::pool2d_kernels().avg_pool_backward] { run(pool, dy, dx); };
}

const RegisterCpuOp kMax{"max_pool2d", {kernel_that_follows(0, "max_pool2d"), prepare_max}};
// The layout of the saved indices, which no reorder should move.
const RegisterCpuOp kMaxBackward{"max_pool2d_backward",
                                 {kernel_that_follows(1, "max_pool2d_backward"), prepare_max_backward}};
const RegisterCpuOp kAverage{"avg_pool2d", {kernel_that_follows(0, "avg_pool2d"), prepare_average}};
const RegisterCpuOp kAverageBackward{"avg_pool2d_backward",
                                     {kernel_that_follows(0, "avg_pool2d_backward"), prepare_average_backward}};

}  // namespace
}  // namespace athanor::cpu
