// Fully connected layer y = x · weightᵀ + bias, its two gradients, and the layer `linear`.
#include "graph/ops/initializers.h"
#include "graph/ops/support.h"

namespace athanor {
namespace {

std::vector<TensorType> infer_linear_forward(const InferContext& context) {
  ops::want_rank(context, 0, 2, "input of linear");
  const Shape& x = context.shape(0);
  const Shape& weight = context.shape(1);
  if (x[1] != weight[1]) {
    throw ShapeMismatch{
        fmt::format("input {} has {} features, weights {} want {}", x.text(), x[1], weight.text(), weight[1])};
  }
  return {{{x[0], weight[0]}, context.dtype(0)}};
}

std::vector<TensorType> infer_linear_backward_data(const InferContext& context) {
  return {{{context.shape(0)[0], context.shape(1)[1]}, context.dtype(0)}};
}

std::vector<TensorType> infer_linear_backward_weights(const InferContext& context) {
  const std::int64_t features = context.shape(1)[1];
  std::vector<TensorType> types{{{features, context.shape(0)[1]}, DType::f32}};
  if (context.attributes.flag("bias")) types.push_back({{features}, DType::f32});
  return types;
}

double product_flops(const Graph& graph, ValueId matrix, ValueId weight) {
  const Shape& shape = graph.value(weight).shape;
  return 2.0 * static_cast<double>(graph.value(matrix).shape[0]) * static_cast<double>(shape[0] * shape[1]);
}

std::vector<ValueId> linear_gradient(GradientContext& context) {
  const Node& node = context.node;
  const ValueId dy = context.output_gradients[0];
  const bool has_bias = node.inputs.size() > 2 && node.inputs[2] != kNoValue;
  std::vector<ValueId> gradients(node.inputs.size(), kNoValue);
  if (context.needed[1] || (has_bias && context.needed[2])) {
    const std::vector<ValueId> outputs =
        context.builder.add("linear_backward_weights", {node.inputs[0], dy}, {{"bias", has_bias}});
    gradients[1] = outputs[0];
    if (has_bias) gradients[2] = outputs[1];
  }
  if (context.needed[0]) gradients[0] = context.builder.add1("linear_backward_data", {dy, node.inputs[1]});
  return gradients;
}

const RegisterOp kLinearForward{{
    .name = "linear",
    .attributes = {ops::activation_field()},
    .infer = infer_linear_forward,
    .flops = [](const Graph& graph, const Node& node) { return product_flops(graph, node.inputs[0], node.inputs[1]); },
    .gradient = linear_gradient,
    .backward_needs = {.inputs = {0, 1}},
}};

const RegisterOp kLinearBackwardData{{
    .name = "linear_backward_data",
    .infer = infer_linear_backward_data,
    .flops = [](const Graph& graph, const Node& node) { return product_flops(graph, node.inputs[0], node.inputs[1]); },
    .no_gradient = "it is a gradient",
}};

const RegisterOp kLinearBackwardWeights{{
    .name = "linear_backward_weights",
    .attributes = {boolean("bias", false, "Whether the bias has a gradient too.")},
    .infer = infer_linear_backward_weights,
    .flops = [](const Graph& graph, const Node& node) { return product_flops(graph, node.inputs[0], node.outputs[0]); },
    .no_gradient = "it is a gradient",
}};

ValueId build_linear(Builder& builder, ValueId x, const LayerSpec& layer) {
  const Shape shape = builder.shape(x);
  if (shape.rank() != 2) builder.fail("linear needs [N, F], got " + shape.text() + "; put `flatten` before it");
  const std::int64_t features = layer.attributes.integer("features");
  const std::string& init = layer.attributes.text("init");
  const ValueId weight =
      builder.parameter("weight", {features, shape[1]}, ops::weight_initializer(init, shape[1], features));
  const ValueId bias = layer.attributes.flag("bias")
                           ? builder.parameter("bias", {features}, ops::bias_initializer(init, shape[1]))
                           : kNoValue;
  return builder.add1("linear", {x, builder.in_compute_dtype(weight), bias});
}

const RegisterLayer kLinearLayer{
    {.name = "linear",
     .doc = "Fully connected layer: [N, F] to [N, features].",
     .fields = {integer("features", std::nullopt, "Output features.").at_least(1),
                boolean("bias", true, "Whether to add a number per output feature."),
                text("init", "torch", "How the weights start.").one_of(ops::kInitializerNames)},
     .shorthand = "features"},
    build_linear};

}  // namespace
}  // namespace athanor
