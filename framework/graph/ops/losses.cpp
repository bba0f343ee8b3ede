// Softmax, the losses and what is counted beside them. Labels are int32 [N]; −1 masks a sample out.
#include "graph/ops/support.h"

namespace athanor {
namespace {

void want_labels(const InferContext& context) {
  ops::want_rank(context, 0, 2, "logits");
  if (context.shape(1)[0] != context.shape(0)[0]) {
    throw ShapeMismatch{
        fmt::format("logits {} and labels {} differ in N", context.shape(0).text(), context.shape(1).text())};
  }
}

const RegisterOp kSoftmax{{
    .name = "softmax",
    .infer =
        [](const InferContext& context) {
          ops::want_rank(context, 0, 2, "input of softmax");
          return ops::like_first(context);
        },
    .flops = ops::per_output_element(5),
    .gradient = [](GradientContext& context) -> std::vector<ValueId> {
      return {context.builder.add1("softmax_backward", {context.output_gradients[0], context.node.outputs[0]})};
    },
    .backward_needs = {.outputs = {0}},
}};
const RegisterOp kSoftmaxBackward{{.name = "softmax_backward",
                                   .infer = ops::like_first,
                                   .flops = ops::per_output_element(4),
                                   .no_gradient = "it is a gradient"}};
const RegisterLayer kSoftmaxLayer{
    {.name = "softmax", .doc = "exp(x) / Σ exp(x) over the features.", .fields = {}},
    [](Builder& builder, ValueId x, const LayerSpec&) { return builder.add1("softmax", {x}); }};

std::vector<Field> cross_entropy_fields() {
  return {real("label_smoothing", 0.0, "Share of the target that goes to all classes alike.").at_least(0).at_most(1)};
}

/// logits [N, K], labels [N], (class weights [K]) → mean loss [1], loss of each sample [N] (0 where masked).
const RegisterOp kCrossEntropy{{
    .name = "cross_entropy",
    .attributes = cross_entropy_fields(),
    .infer = [](const InferContext& context) -> std::vector<TensorType> {
      want_labels(context);
      return {{{1}, DType::f32}, {{context.shape(0)[0]}, DType::f32}};
    },
    .flops = [](const Graph& graph,
                const Node& node) { return 6.0 * static_cast<double>(graph.value(node.inputs[0]).shape.elements()); },
    .gradient = [](GradientContext& context) -> std::vector<ValueId> {
      const Node& node = context.node;
      return {context.builder.add1("cross_entropy_backward",
                                   {context.output_gradients[0], node.inputs[0], node.inputs[1], node.inputs[2]},
                                   node.attributes),
              kNoValue, kNoValue};
    },
    .backward_needs = {.inputs = {0, 1, 2}},
}};
/// dloss [1], logits, labels, (class weights) → dlogits.
const RegisterOp kCrossEntropyBackward{{
    .name = "cross_entropy_backward",
    .attributes = cross_entropy_fields(),
    .infer = [](const InferContext& context) -> std::vector<TensorType> {
      return {{context.shape(1), context.dtype(1)}};
    },
    .flops = ops::per_output_element(6),
    .no_gradient = "it is a gradient",
}};

const RegisterOp kOneHot{{
    .name = "one_hot",
    .attributes = {integer("classes", std::nullopt, "Features of the output.").at_least(1)},
    .infer = [](const InferContext& context) -> std::vector<TensorType> {
      return {{{context.shape(0)[0], context.attributes.integer("classes")}, DType::f32}};
    },
    .no_gradient = "labels are not differentiable",
}};

struct RegisterMeanLoss {
  explicit RegisterMeanLoss(const std::string& name, double flops) {
    RegisterOp({.name = name,
                .infer = [](const InferContext& context) -> std::vector<TensorType> {
                  if (!(context.shape(0) == context.shape(1))) {
                    throw ShapeMismatch{fmt::format("output {} and target {} differ", context.shape(0).text(),
                                                    context.shape(1).text())};
                  }
                  return {{{1}, DType::f32}, {{context.shape(0)[0]}, DType::f32}};
                },
                .flops =
                    [flops](const Graph& graph, const Node& node) {
                      return flops * static_cast<double>(graph.value(node.inputs[0]).shape.elements());
                    },
                .gradient = [name](GradientContext& context) -> std::vector<ValueId> {
                  const Node& node = context.node;
                  return {context.builder.add1(name + "_backward",
                                               {context.output_gradients[0], node.inputs[0], node.inputs[1]}),
                          kNoValue};
                },
                .backward_needs = {.inputs = {0, 1}}});
    RegisterOp({.name = name + "_backward",
                .infer = [](const InferContext& context) -> std::vector<TensorType> {
                  return {{context.shape(1), context.dtype(1)}};
                },
                .flops = ops::per_output_element(flops),
                .no_gradient = "it is a gradient"});
  }
};
/// x [N, F], target [N, F] → mean over all elements [1], mean over the features of each sample [N].
const RegisterMeanLoss kMeanSquaredError{"mse_loss", 3};
const RegisterMeanLoss kBinaryCrossEntropy{"bce_with_logits", 6};

/// logits [N, K], labels [N] → [2]: how many labels are the largest logit, and among the five largest; and per sample
/// the rank of the label's logit as int32 [N] (−1 where masked). Ties go to the lower class, as in PyTorch's topk.
const RegisterOp kCountCorrect{{
    .name = "count_correct",
    .infer = [](const InferContext& context) -> std::vector<TensorType> {
      want_labels(context);
      return {{{2}, DType::f32}, {{context.shape(0)[0]}, DType::i32}};
    },
    .no_gradient = "counting is not differentiable",
}};

}  // namespace
}  // namespace athanor
