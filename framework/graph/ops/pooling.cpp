// Max, average and global average pooling, their gradients and layers.
#include "graph/ops/support.h"

namespace athanor {
namespace {

using ops::list_of;
using ops::Pair;
using ops::pair_of;

/// Output shape of a window that slides over [N, C, H, W]; rounds down, as PyTorch does by default.
Shape pooled(const InferContext& context) {
  ops::want_rank(context, 0, 4, "input of pooling");
  const Shape& x = context.shape(0);
  const Pair kernel = pair_of(context.attributes, "kernel");
  const Pair stride = pair_of(context.attributes, "stride");
  const Pair padding = pair_of(context.attributes, "padding");
  Shape y{x[0], x[1], 0, 0};
  for (std::size_t axis = 0; axis < 2; ++axis) {
    if (2 * padding[axis] > kernel[axis]) {
      throw ShapeMismatch{fmt::format("padding {} is more than half of the window {}", padding[axis], kernel[axis])};
    }
    const std::int64_t span = x[2 + axis] + 2 * padding[axis] - kernel[axis];
    if (span < 0)
      throw ShapeMismatch{fmt::format("the window {}x{} does not fit input {}", kernel[0], kernel[1], x.text())};
    y[2 + axis] = span / stride[axis] + 1;
  }
  return y;
}

std::vector<Field> pool_op_fields() {
  return {integers("kernel", std::nullopt, "Window height and width.").at_least(1).of_length({1, 2}),
          integers("stride", std::nullopt, "Step between windows.").at_least(1).of_length({1, 2}),
          integers("padding", {{0}}, "Padding on each side.").at_least(0).of_length({1, 2})};
}

Field count_field() {
  return boolean("count_include_pad", true, "Whether padding counts in the mean.");
}

Attributes with_input_size(const GradientContext& context) {
  Attributes attributes = context.node.attributes;
  const Shape x = context.builder.shape(context.node.inputs[0]);
  attributes.set("input_size", std::vector<std::int64_t>{x[2], x[3]});
  return attributes;
}

std::vector<TensorType> infer_pool_backward(const InferContext& context) {
  const std::vector<std::int64_t>& size = context.attributes.integers("input_size");
  return {{{context.shape(0)[0], context.shape(0)[1], size[0], size[1]}, context.dtype(0)}};
}

double window_flops(const Graph& graph, const Node& node) {
  const Pair kernel = pair_of(node.attributes, "kernel");
  return static_cast<double>(graph.value(node.outputs[0]).shape.elements() * kernel[0] * kernel[1]);
}

/// The second output is the position of the maximum inside its window, row-major: what backward needs.
const RegisterOp kMaxPool{{
    .name = "max_pool2d",
    .attributes = pool_op_fields(),
    .infer = [](const InferContext& context) -> std::vector<TensorType> {
      const Shape y = pooled(context);
      return {{y, context.dtype(0)}, {y, DType::i32}};
    },
    .flops = window_flops,
    .gradient = [](GradientContext& context) -> std::vector<ValueId> {
      return {context.builder.add1("max_pool2d_backward", {context.output_gradients[0], context.node.outputs[1]},
                                   with_input_size(context))};
    },
    .backward_needs = {.outputs = {1}},
}};
const RegisterOp kMaxPoolBackward{{.name = "max_pool2d_backward",
                                   .attributes = ops::joined({pool_op_fields(), {ops::input_size_field()}}),
                                   .infer = infer_pool_backward,
                                   .flops = ops::per_output_element(1),
                                   .no_gradient = "it is a gradient"}};

const RegisterOp kAvgPool{{
    .name = "avg_pool2d",
    .attributes = ops::joined({pool_op_fields(), {count_field()}}),
    .infer = [](const InferContext& context) -> std::vector<TensorType> {
      return {{pooled(context), context.dtype(0)}};
    },
    .flops = window_flops,
    .gradient = [](GradientContext& context) -> std::vector<ValueId> {
      return {context.builder.add1("avg_pool2d_backward", {context.output_gradients[0]}, with_input_size(context))};
    },
}};
const RegisterOp kAvgPoolBackward{
    {.name = "avg_pool2d_backward",
     .attributes = ops::joined({pool_op_fields(), {count_field(), ops::input_size_field()}}),
     .infer = infer_pool_backward,
     .flops = ops::per_output_element(1),
     .no_gradient = "it is a gradient"}};

const RegisterOp kGlobalAvgPool{{
    .name = "global_avg_pool",
    .infer = [](const InferContext& context) -> std::vector<TensorType> {
      ops::want_rank(context, 0, 4, "input of global_avg_pool");
      return {{{context.shape(0)[0], context.shape(0)[1]}, context.dtype(0)}};
    },
    .flops = [](const Graph& graph,
                const Node& node) { return static_cast<double>(graph.value(node.inputs[0]).shape.elements()); },
    .gradient = [](GradientContext& context) -> std::vector<ValueId> {
      return {
          context.builder.add1("global_avg_pool_backward", {context.output_gradients[0]}, with_input_size(context))};
    },
}};
const RegisterOp kGlobalAvgPoolBackward{{.name = "global_avg_pool_backward",
                                         .attributes = {ops::input_size_field()},
                                         .infer = infer_pool_backward,
                                         .flops = ops::per_output_element(1),
                                         .no_gradient = "it is a gradient"}};

std::vector<Field> pool_window_fields() {
  return {integers("kernel", std::nullopt, "Window height and width.").at_least(1).of_length({1, 2}),
          integers("stride", {{0}}, "Step between windows; 0: the kernel.").at_least(0).of_length({1, 2}),
          integers("padding", {{0}}, "Padding on each side.").at_least(0).of_length({1, 2})};
}

Attributes window_of(const LayerSpec& layer) {
  const Pair kernel = pair_of(layer.attributes, "kernel");
  Pair stride = pair_of(layer.attributes, "stride");
  for (std::size_t axis = 0; axis < 2; ++axis) {
    if (stride[axis] == 0) stride[axis] = kernel[axis];
  }
  return {{"kernel", list_of(kernel)},
          {"stride", list_of(stride)},
          {"padding", list_of(pair_of(layer.attributes, "padding"))}};
}

const RegisterLayer kMaxPoolLayer{
    {.name = "max_pool", .doc = "Maximum over windows.", .fields = pool_window_fields(), .shorthand = "kernel"},
    [](Builder& builder, ValueId x, const LayerSpec& layer) {
      return builder.add1("max_pool2d", {x}, window_of(layer));
    }};

std::vector<Field> avg_fields() {
  return ops::joined({pool_window_fields(), {count_field()}});
}

const RegisterLayer kAvgPoolLayer{
    {.name = "avg_pool", .doc = "Mean over windows.", .fields = avg_fields(), .shorthand = "kernel"},
    [](Builder& builder, ValueId x, const LayerSpec& layer) {
      Attributes attributes = window_of(layer);
      attributes.set("count_include_pad", layer.attributes.flag("count_include_pad"));
      return builder.add1("avg_pool2d", {x}, attributes);
    }};

const RegisterLayer kGlobalAvgPoolLayer{
    {.name = "global_avg_pool", .doc = "Mean over H and W: [N, C, H, W] to [N, C].", .fields = {}},
    [](Builder& builder, ValueId x, const LayerSpec&) { return builder.add1("global_avg_pool", {x}); }};

}  // namespace
}  // namespace athanor
