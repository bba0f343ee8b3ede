// Two-dimensional convolution (cross-correlation), its two gradients, and the layer `conv`.
#include "graph/ops/initializers.h"
#include "graph/ops/support.h"

namespace athanor {
namespace {

using ops::list_of;
using ops::Pair;
using ops::pair_of;

/// What the layer and the op in all its directions have in common.
std::vector<Field> conv2d_window_fields() {
  return {integers("stride", {{1}}, "Step between windows.").at_least(1).of_length({1, 2}),
          integers("padding", {{0}}, "Zeros added on each side.").at_least(0).of_length({1, 2}),
          integers("dilation", {{1}}, "Distance between the taps of a window.").at_least(1).of_length({1, 2}),
          integer("groups", 1, "Channel groups that do not see each other.").at_least(1)};
}

/// What a fused op may do beside it; its gradients have the same fields, which mean nothing there unless they say so.
std::vector<Field> conv2d_op_fields() {
  return ops::joined({conv2d_window_fields(),
                      {ops::activation_field(),
                       boolean("statistics", false, "Whether sums of the output and its square are outputs too."),
                       boolean("input_relu", false, "Whether a scaled and shifted input goes through a ReLU.")}});
}

/// Output extent of one axis; 0 or less means that the window does not fit.
std::int64_t output_extent(std::int64_t input, std::int64_t kernel, std::int64_t stride, std::int64_t padding,
                           std::int64_t dilation) {
  const std::int64_t span = input + 2 * padding - dilation * (kernel - 1) - 1;
  return span < 0 ? 0 : span / stride + 1;
}

/// x, weight, (bias), (a residual that is added before the activation), (scale, shift) → y, with `statistics` also Σ y
/// and Σ y² of each channel. With scale and shift [C] the input is x · scale + shift, perhaps through a ReLU. No layer
/// asks for these: a back end that has them for nothing does.
std::vector<TensorType> infer_conv2d_forward(const InferContext& context) {
  ops::want_rank(context, 0, 4, "input of conv");
  const Shape& x = context.shape(0);
  const Shape& weight = context.shape(1);
  const std::int64_t groups = context.attributes.integer("groups");
  if (x[1] % groups != 0 || weight[0] % groups != 0 || weight[1] != x[1] / groups) {
    throw ShapeMismatch{fmt::format("input {} has {} channels; weights {} in {} groups do not divide them", x.text(),
                                    x[1], weight.text(), groups)};
  }
  const Pair stride = pair_of(context.attributes, "stride");
  const Pair padding = pair_of(context.attributes, "padding");
  const Pair dilation = pair_of(context.attributes, "dilation");
  Shape y{x[0], weight[0], 0, 0};
  for (std::size_t axis = 0; axis < 2; ++axis) {
    y[2 + axis] = output_extent(x[2 + axis], weight[2 + axis], stride[axis], padding[axis], dilation[axis]);
  }
  if (y[2] <= 0 || y[3] <= 0) {
    throw ShapeMismatch{fmt::format("the kernel {}x{} (padding {}x{}, dilation {}x{}) does not fit input {}", weight[2],
                                    weight[3], padding[0], padding[1], dilation[0], dilation[1], x.text())};
  }
  std::vector<TensorType> types{{y, context.dtype(0)}};
  if (context.attributes.flag("statistics")) types.insert(types.end(), 2, {{weight[0]}, DType::f32});
  return types;
}

/// dy, weight → dx. With `statistics` also what passes/norm_gradient_in_convolutions.h adds, dx being the gradient of
/// what a batch norm wrote, through a ReLU with `input_relu`: (a second gradient that is added to it), then x, gamma,
/// beta, mean, inv_std and (y, wherever it had a residual) of the norm → dx, 0 where the ReLU was, and Σ dx,
/// Σ dx · (x − mean) of each channel.
std::vector<TensorType> infer_conv2d_backward_data(const InferContext& context) {
  const std::vector<std::int64_t>& size = context.attributes.integers("input_size");
  const std::int64_t channels = context.shape(1)[1] * context.attributes.integer("groups");
  std::vector<TensorType> types{{{context.shape(0)[0], channels, size[0], size[1]}, context.dtype(0)}};
  if (context.attributes.flag("statistics")) types.insert(types.end(), 2, {{channels}, DType::f32});
  return types;
}

/// x, dy, (scale, shift) → dweight, (dbias), float32 whatever the activations are. x as in conv2d.
std::vector<TensorType> infer_conv2d_backward_weights(const InferContext& context) {
  const Pair kernel = pair_of(context.attributes, "kernel");
  const std::int64_t channels = context.shape(1)[1];
  std::vector<TensorType> types{
      {{channels, context.shape(0)[1] / context.attributes.integer("groups"), kernel[0], kernel[1]}, DType::f32}};
  if (context.attributes.flag("bias")) types.push_back({{channels}, DType::f32});
  return types;
}

/// 2 · output elements · (kernel · channels per group), for all three directions: each has the same multiply-adds.
double flops_of(const Shape& output, const Shape& weight) {
  return 2.0 * static_cast<double>(output.elements()) * static_cast<double>(weight[1] * weight[2] * weight[3]);
}

std::vector<ValueId> conv2d_gradient(GradientContext& context) {
  const Node& node = context.node;
  const ValueId dy = context.output_gradients[0];
  const ValueId x = node.inputs[0], weight = node.inputs[1];
  const bool has_bias = node.inputs.size() > 2 && node.inputs[2] != kNoValue;
  const Shape x_shape = context.builder.shape(x), weight_shape = context.builder.shape(weight);
  std::vector<ValueId> gradients(node.inputs.size(), kNoValue);
  if (context.needed[1] || (has_bias && context.needed[2])) {
    Attributes attributes = node.attributes;
    attributes.set("kernel", std::vector<std::int64_t>{weight_shape[2], weight_shape[3]});
    attributes.set("bias", has_bias);
    const std::vector<ValueId> outputs = context.builder.add("conv2d_backward_weights", {x, dy}, attributes);
    gradients[1] = outputs[0];
    if (has_bias) gradients[2] = outputs[1];
  }
  if (context.needed[0]) {
    Attributes attributes = node.attributes;
    attributes.set("input_size", std::vector<std::int64_t>{x_shape[2], x_shape[3]});
    gradients[0] = context.builder.add1("conv2d_backward_data", {dy, weight}, attributes);
  }
  return gradients;
}

const RegisterOp kConv2dForward{{
    .name = "conv2d",
    .attributes = conv2d_op_fields(),
    .infer = infer_conv2d_forward,
    .flops =
        [](const Graph& graph, const Node& node) {
          return flops_of(graph.value(node.outputs[0]).shape, graph.value(node.inputs[1]).shape);
        },
    .gradient = conv2d_gradient,
    .backward_needs = {.inputs = {0, 1}},
    .in_place = {{3, 0}},
}};

const RegisterOp kConv2dBackwardData{{
    .name = "conv2d_backward_data",
    .attributes = ops::joined({conv2d_op_fields(), {ops::input_size_field()}}),
    .infer = infer_conv2d_backward_data,
    .flops =
        [](const Graph& graph, const Node& node) {
          return flops_of(graph.value(node.inputs[0]).shape, graph.value(node.inputs[1]).shape);
        },
    .no_gradient = "it is a gradient",
    .in_place = {{2, 0}},
}};

const RegisterOp kConv2dBackwardWeights{{
    .name = "conv2d_backward_weights",
    .attributes =
        ops::joined({conv2d_op_fields(),
                     {integers("kernel", std::nullopt, "Window height and width.").at_least(1).of_length({1, 2}),
                      boolean("bias", false, "Whether the bias has a gradient too.")}}),
    .infer = infer_conv2d_backward_weights,
    .flops =
        [](const Graph& graph, const Node& node) {
          return flops_of(graph.value(node.inputs[1]).shape, graph.value(node.outputs[0]).shape);
        },
    .no_gradient = "it is a gradient",
}};

ValueId build_conv(Builder& builder, ValueId x, const LayerSpec& layer) {
  const Attributes& attributes = layer.attributes;
  const Pair kernel = pair_of(attributes, "kernel");
  const std::int64_t channels = attributes.integer("channels"), groups = attributes.integer("groups");
  if (builder.shape(x).rank() != 4)
    builder.fail(fmt::format("conv needs [N, C, H, W], got {}", builder.shape(x).text()));
  const std::int64_t inputs = builder.shape(x)[1];
  if (inputs % groups != 0 || channels % groups != 0) {
    builder.fail(fmt::format("{} groups do not divide {} input and {} output channels", groups, inputs, channels));
  }
  const std::int64_t fan_in = inputs / groups * kernel[0] * kernel[1];
  const std::int64_t fan_out = channels / groups * kernel[0] * kernel[1];
  const std::string& init = attributes.text("init");
  const ValueId weight = builder.parameter("weight", {channels, inputs / groups, kernel[0], kernel[1]},
                                           ops::weight_initializer(init, fan_in, fan_out));
  const ValueId bias =
      attributes.flag("bias") ? builder.parameter("bias", {channels}, ops::bias_initializer(init, fan_in)) : kNoValue;
  return builder.add1("conv2d", {x, builder.in_compute_dtype(weight), bias},
                      {{"stride", list_of(pair_of(attributes, "stride"))},
                       {"padding", list_of(pair_of(attributes, "padding"))},
                       {"dilation", list_of(pair_of(attributes, "dilation"))},
                       {"groups", groups}});
}

const RegisterLayer kConv2dLayer{
    {.name = "conv",
     .doc = "Two-dimensional convolution: [N, C, H, W] to [N, channels, H', W'].",
     .fields = ops::joined({{integer("channels", std::nullopt, "Output channels.").at_least(1),
                             integers("kernel", {{3}}, "Window height and width.").at_least(1).of_length({1, 2})},
                            conv2d_window_fields(),
                            {boolean("bias", true, "Whether to add a number per output channel."),
                             text("init", "torch", "How the weights start.").one_of(ops::kInitializerNames)}}),
     .shorthand = "channels"},
    build_conv};

}  // namespace
}  // namespace athanor
