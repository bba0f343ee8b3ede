// Batch normalisation with the statistics of the global batch, in parts round the places where the shards meet:
//   forward   batch_norm_moments → gather_shards → batch_norm_combine → batch_norm_apply
//   backward  batch_norm_sums → gather_shards → batch_norm_input_gradient
// The gradient of batch_norm_apply is that of the whole: it goes through the statistics to every element of the batch,
// so the ops before it have none. Inputs that batch_norm_sums shares with batch_norm_backward stand in the same places.
#include "graph/ops/support.h"

namespace athanor {
namespace {

Field residual_field() {
  return boolean("residual", false, "Whether a residual is added before the activation.");
}

/// x → moments [2, C]: mean and biased variance of the shard.
std::vector<TensorType> infer_moments(const InferContext& context) {
  return {{{2, context.shape(0)[1]}, DType::f32}};
}

/// moments [S, 2, C] → mean, inv_std, batch_mean, batch_var: the last two are what the running statistics take.
std::vector<TensorType> infer_combine(const InferContext& context) {
  ops::want_rank(context, 0, 3, "moments");
  return std::vector<TensorType>(4, {{context.shape(0)[2]}, DType::f32});
}

/// dy, x, gamma, beta, mean, inv_std, (y), (dy2) → sums [2, C], dgamma, dbeta, (dresidual).
std::vector<TensorType> infer_sums(const InferContext& context) {
  const std::int64_t channels = context.shape(0)[1];
  std::vector<TensorType> types{{{2, channels}, DType::f32}, {{channels}, DType::f32}, {{channels}, DType::f32}};
  if (context.attributes.flag("residual")) types.push_back({context.shape(0), context.dtype(0)});
  return types;
}

std::vector<ValueId> apply_gradient(GradientContext& context) {
  const Node& node = context.node;
  const ValueId dy = context.output_gradients[0], x = node.inputs[0], gamma = node.inputs[1], beta = node.inputs[2],
                mean = node.inputs[3], inv_std = node.inputs[4];
  const std::vector<ValueId> sums =
      context.builder.add("batch_norm_sums", {dy, x, gamma, beta, mean, inv_std, kNoValue, kNoValue});
  const ValueId all = context.builder.add1("gather_shards", {sums[0]}, {{"shards", node.attributes.integer("shards")}});
  const ValueId dx =
      context.builder.add1("batch_norm_input_gradient", {dy, x, gamma, beta, mean, inv_std, all, kNoValue});
  return {dx, sums[1], sums[2], kNoValue, kNoValue, kNoValue};
}

const RegisterOp kMoments{{
    .name = "batch_norm_moments",
    .infer = infer_moments,
    .flops = [](const Graph& graph,
                const Node& node) { return 3 * static_cast<double>(graph.value(node.inputs[0]).shape.elements()); },
    .no_gradient = "batch_norm_apply has the gradient through the statistics",
}};

const RegisterOp kCombine{{
    .name = "batch_norm_combine",
    .attributes = {real("eps", 1e-5, "Added to the variance.").above(0),
                   integer("count", std::nullopt, "Elements of a channel in one shard.").at_least(1)},
    .infer = infer_combine,
    .no_gradient = "batch_norm_apply has the gradient through the statistics",
}};

/// x, gamma, beta, mean, inv_std, (residual) → y.
const RegisterOp kApply{{
    .name = "batch_norm_apply",
    .attributes = {ops::activation_field(), residual_field(),
                   integer("shards", 1, "Shards whose statistics are given.").at_least(1)},
    .infer = ops::like_first,
    .flops = ops::per_output_element(2),
    .gradient = apply_gradient,
    .backward_needs = {.inputs = {0, 1, 2, 3, 4}},
    .in_place = {{0, 0}},
}};

const RegisterOp kSums{{
    .name = "batch_norm_sums",
    .attributes = {ops::activation_field(), residual_field()},
    .infer = infer_sums,
    .flops = [](const Graph& graph,
                const Node& node) { return 5 * static_cast<double>(graph.value(node.inputs[1]).shape.elements()); },
    .no_gradient = "it is a gradient",
}};

/// dy, x, gamma, beta, mean, inv_std, sums [S, 2, C], (dy2) → dx.
const RegisterOp kInputGradient{{
    .name = "batch_norm_input_gradient",
    .attributes = {ops::activation_field()},
    .infer = ops::like_first,
    .flops = ops::per_output_element(6),
    .no_gradient = "it is a gradient",
    .in_place = {{0, 0}},
}};

}  // namespace
}  // namespace athanor
