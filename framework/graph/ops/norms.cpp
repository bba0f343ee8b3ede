// Layer and group normalisation, their gradients and layers (Ba et al. 2016; Wu and He 2018).
#include "graph/ops/initializers.h"
#include "graph/ops/support.h"

namespace athanor {
namespace {

/// x, gamma, beta → y, mean [N, G], inv_std [N, G].
std::vector<TensorType> infer_norm_forward(const InferContext& context, std::int64_t groups) {
  const Shape statistics{context.shape(0)[0], groups};
  return {{context.shape(0), context.dtype(0)}, {statistics, DType::f32}, {statistics, DType::f32}};
}

/// dy, x, gamma, mean, inv_std → dx, dgamma, dbeta.
std::vector<TensorType> infer_norm_backward(const InferContext& context) {
  return {{context.shape(0), context.dtype(0)}, {context.shape(2), DType::f32}, {context.shape(2), DType::f32}};
}

std::vector<ValueId> norm_gradient(GradientContext& context) {
  const Node& node = context.node;
  return context.builder.add(
      node.op->name + "_backward",
      {context.output_gradients[0], node.inputs[0], node.inputs[1], node.outputs[1], node.outputs[2]}, node.attributes);
}

Field eps_field() {
  return real("eps", 1e-5, "Added to the variance.").above(0);
}
Field groups_field() {
  return integer("groups", std::nullopt, "Number of groups; divides the channels.").at_least(1);
}

const RegisterOp kLayerNorm{{
    .name = "layer_norm",
    .attributes = {eps_field()},
    .infer = [](const InferContext& context) { return infer_norm_forward(context, 1); },
    .flops = ops::per_output_element(7),
    .gradient = norm_gradient,
    .backward_needs = {.inputs = {0, 1}, .outputs = {1, 2}},
}};
const RegisterOp kLayerNormBackward{{.name = "layer_norm_backward",
                                     .attributes = {eps_field()},
                                     .infer = infer_norm_backward,
                                     .flops = ops::per_output_element(11),
                                     .no_gradient = "it is a gradient"}};

const RegisterOp kGroupNorm{{
    .name = "group_norm",
    .attributes = {groups_field(), eps_field()},
    .infer =
        [](const InferContext& context) {
          ops::want_rank(context, 0, 4, "input of group_norm");
          const std::int64_t groups = context.attributes.integer("groups");
          if (context.shape(0)[1] % groups != 0) {
            throw ShapeMismatch{
                fmt::format("{} groups do not divide the channels of {}", groups, context.shape(0).text())};
          }
          return infer_norm_forward(context, groups);
        },
    .flops = ops::per_output_element(7),
    .gradient = norm_gradient,
    .backward_needs = {.inputs = {0, 1}, .outputs = {1, 2}},
}};
const RegisterOp kGroupNormBackward{{.name = "group_norm_backward",
                                     .attributes = {groups_field(), eps_field()},
                                     .infer = infer_norm_backward,
                                     .flops = ops::per_output_element(11),
                                     .no_gradient = "it is a gradient"}};

ValueId build(Builder& builder, ValueId x, std::string_view op, const Shape& affine, const Attributes& attributes) {
  const ValueId gamma = builder.parameter("weight", affine, ops::constant_initializer(1));
  const ValueId beta = builder.parameter("bias", affine, ops::constant_initializer(0));
  return builder.add1(op, {x, gamma, beta}, attributes);
}

const RegisterLayer kLayerNormLayer{
    {.name = "layer_norm", .doc = "Normalises each sample over everything but N.", .fields = {eps_field()}},
    [](Builder& builder, ValueId x, const LayerSpec& layer) {
      const Shape shape = builder.shape(x);
      return build(builder, x, "layer_norm", Shape(shape.extents().subspan(1)), layer.attributes);
    }};

const RegisterLayer kGroupNormLayer{{.name = "group_norm",
                                     .doc = "Normalises each sample over groups of channels.",
                                     .fields = {groups_field(), eps_field()},
                                     .shorthand = "groups"},
                                    [](Builder& builder, ValueId x, const LayerSpec& layer) {
                                      return build(builder, x, "group_norm", {builder.shape(x)[1]}, layer.attributes);
                                    }};

}  // namespace
}  // namespace athanor
