// Batch normalisation over N, H and W per channel (Ioffe and Szegedy 2015), with per-shard statistics, its gradient,
// its form for evaluation, and the layer `batch_norm`. The fusion pass adds ReLU, or a residual and ReLU, to both
// directions.
#include "graph/ops/initializers.h"
#include "graph/ops/support.h"

namespace athanor {
namespace {

std::vector<Field> statistics_fields() {
  return {real("eps", 1e-5, "Added to the variance.").above(0),
          real("momentum", 0.1, "Weight of the new statistics in the running ones.").at_least(0).at_most(1)};
}

std::vector<Field> batch_norm_op_fields() {
  return ops::joined(
      {statistics_fields(),
       {ops::activation_field(), boolean("residual", false, "Whether a residual is added before the activation.")}});
}

void want_channels(const InferContext& context) {
  if (context.shape(0).rank() != 4 && context.shape(0).rank() != 2)
    ops::want_rank(context, 0, 4, "input of batch_norm");
}

/// x, gamma, beta, (residual), (Σ x, Σ x²) → y, mean, inv_std, batch_mean, batch_var: the last two are what the running
/// statistics take. The sums are there where a back end has them from the convolution before, and one may add the mask
/// of the ReLU as a last output.
std::vector<TensorType> infer_batch_norm_forward(const InferContext& context) {
  want_channels(context);
  const Shape per_channel{context.shape(0)[1]};
  return {{context.shape(0), context.dtype(0)},
          {per_channel, DType::f32},
          {per_channel, DType::f32},
          {per_channel, DType::f32},
          {per_channel, DType::f32}};
}

/// What passes/normalize_in_convolutions.h leaves of a batch_norm, with the same inputs, → mean, inv_std, batch_mean,
/// batch_var, and y = x · scale + shift: scale, shift.
std::vector<TensorType> infer_factors(const InferContext& context) {
  want_channels(context);
  return std::vector<TensorType>(6, {{context.shape(0)[1]}, DType::f32});
}

/// dy, x, gamma, beta, mean, inv_std, (y), (dy2), (mask, where a back end has it, for y), (Σ dy, Σ dy · (x − mean),
/// where it has them from the convolution before) → dx, dgamma, dbeta, (dresidual).
std::vector<TensorType> infer_batch_norm_backward(const InferContext& context) {
  const Shape per_channel{context.shape(0)[1]};
  std::vector<TensorType> types{
      {context.shape(0), context.dtype(0)}, {per_channel, DType::f32}, {per_channel, DType::f32}};
  if (context.attributes.flag("residual")) types.push_back({context.shape(0), context.dtype(0)});
  return types;
}

std::vector<ValueId> batch_norm_gradient(GradientContext& context) {
  const Node& node = context.node;
  const std::vector<ValueId> outputs =
      context.builder.add("batch_norm_backward",
                          {context.output_gradients[0], node.inputs[0], node.inputs[1], node.inputs[2], node.outputs[1],
                           node.outputs[2], kNoValue, kNoValue},
                          node.attributes);
  return {outputs[0], outputs[1], outputs[2], kNoValue};
}

/// The statistics are kept, so that one pass is left.
Node apply_again(const Node& node) {
  Node apply = node;
  apply.op = &op_named("batch_norm_apply");
  apply.attributes = {{"activation", node.attributes.text("activation")},
                      {"residual", node.attributes.flag("residual")},
                      {"shards", std::int64_t{1}}};
  apply.inputs = {node.inputs[0], node.inputs[1], node.inputs[2], node.outputs[1], node.outputs[2], node.inputs[3]};
  apply.outputs = {node.outputs[0]};
  return apply;
}

const RegisterOp kBatchNormForward{{
    .name = "batch_norm",
    .attributes = batch_norm_op_fields(),
    .infer = infer_batch_norm_forward,
    .flops = ops::per_output_element(7),
    .gradient = batch_norm_gradient,
    .backward_needs = {.inputs = {0, 1, 2}, .outputs = {1, 2}},
    .remake = apply_again,
}};

const RegisterOp kFactors{{
    .name = "batch_norm_factors",
    .attributes = {statistics_fields()[0]},
    .infer = infer_factors,
    .flops = [](const Graph& graph, const Node& node) { return 5.0 * graph.value(node.inputs[0]).shape.elements(); },
    .no_gradient = "its gradient is that of batch_norm",
}};

const RegisterOp kBackward{{
    .name = "batch_norm_backward",
    .attributes = batch_norm_op_fields(),
    .infer = infer_batch_norm_backward,
    .flops = ops::per_output_element(11),
    .no_gradient = "it is a gradient",
    .in_place = {{0, 0}},
}};

const RegisterOp kInference{{
    .name = "batch_norm_inference",
    .attributes = batch_norm_op_fields(),
    .infer =
        [](const InferContext& context) {
          want_channels(context);
          return ops::like_first(context);
        },
    .flops = ops::per_output_element(2),
    .no_gradient = "it is for evaluation",
    .in_place = {{0, 0}},
}};

struct BatchNormValues {
  ValueId y, mean, var;  ///< the last two: what the running statistics take
};

/// Statistics of the shard alone.
BatchNormValues normalize_shard(Builder& builder, ValueId x, ValueId gamma, ValueId beta,
                                const Attributes& attributes) {
  const std::vector<ValueId> outputs = builder.add("batch_norm", {x, gamma, beta, kNoValue}, attributes);
  return {outputs[0], outputs[3], outputs[4]};
}

/// Statistics of all shards of the batch; see batch_norm_synchronized.cpp.
BatchNormValues normalize_batch(Builder& builder, ValueId x, ValueId gamma, ValueId beta, double eps) {
  const Attributes shards{{"shards", builder.shards}};
  const std::int64_t count = builder.shape(x).elements() / builder.shape(x)[1];
  const ValueId moments = builder.add1("batch_norm_moments", {x});
  const std::vector<ValueId> statistics = builder.add(
      "batch_norm_combine", {builder.add1("gather_shards", {moments}, shards)}, {{"eps", eps}, {"count", count}});
  const ValueId y = builder.add1("batch_norm_apply", {x, gamma, beta, statistics[0], statistics[1], kNoValue}, shards);
  return {y, statistics[2], statistics[3]};
}

ValueId build_batch_norm(Builder& builder, ValueId x, const LayerSpec& layer) {
  const Shape shape = builder.shape(x);
  if (shape.rank() != 4 && shape.rank() != 2)
    builder.fail("batch_norm needs [N, C, H, W] or [N, F], got " + shape.text());
  const Shape per_channel{shape[1]};
  const ValueId gamma = builder.parameter("weight", per_channel,
                                          ops::constant_initializer(layer.attributes.flag("zero_init") ? 0.0 : 1.0));
  const ValueId beta = builder.parameter("bias", per_channel, ops::constant_initializer(0));
  const ValueId running_mean = builder.statistic("running_mean", per_channel, 0);
  const ValueId running_var = builder.statistic("running_var", per_channel, 1);
  const double eps = layer.attributes.real("eps"), momentum = layer.attributes.real("momentum");
  const Attributes attributes{{"eps", eps}, {"momentum", momentum}};
  if (!builder.training) {
    return builder.add1("batch_norm_inference", {x, gamma, beta, running_mean, running_var, kNoValue}, attributes);
  }
  const bool is_synchronized = layer.attributes.flag("synchronized") && builder.shards > 1;
  const BatchNormValues values = is_synchronized ? normalize_batch(builder, x, gamma, beta, eps)
                                                 : normalize_shard(builder, x, gamma, beta, attributes);
  builder.graph().statistics.push_back({running_mean, values.mean, momentum});
  builder.graph().statistics.push_back({running_var, values.var, momentum});
  return values.y;
}

const RegisterLayer kBatchNormLayer{
    {.name = "batch_norm",
     .doc = "Batch normalisation per channel.",
     .fields = ops::joined({statistics_fields(),
                            {boolean("zero_init", false, "Whether gamma starts at 0 instead of 1."),
                             boolean("synchronized", false,
                                     "Whether statistics are those of the global batch instead of the shard's own. "
                                     "Shards then wait for each other at this layer, and a rank holds the activations "
                                     "of all its shards at once.")}})},
    build_batch_norm};

}  // namespace
}  // namespace athanor
