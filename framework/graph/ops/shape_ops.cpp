// Ops that join, move or cut values: add, channel scale, concat, flatten, pad, the parameter-free shortcut of residual
// networks for CIFAR (He et al. 2015, option A), and their gradients.
#include "graph/ops/support.h"

namespace athanor {
namespace {

void want_equal(const InferContext& context, std::string_view what) {
  if (!(context.shape(0) == context.shape(1))) {
    throw ShapeMismatch{
        fmt::format("{}: shapes {} and {} differ", what, context.shape(0).text(), context.shape(1).text())};
  }
}

const RegisterOp kAdd{{
    .name = "add",
    .infer =
        [](const InferContext& context) {
          want_equal(context, "the branches of a sum");
          return ops::like_first(context);
        },
    .flops = ops::per_output_element(1),
    .gradient = [](GradientContext& context) -> std::vector<ValueId> {
      return {context.output_gradients[0], context.output_gradients[0]};
    },
    .in_place = {{0, 0}, {1, 0}},
}};

/// x [N, C, H, W], s [N, C], (residual), (shift [N, C]) → x · s (Hu et al. 2018, eq. 4). The last two, the activation
/// and what they stand for are put in by graph/passes/fuse_squeeze_excite.h: act(x · s + factor · shift + residual).
const RegisterOp kScale{{
    .name = "scale",
    .attributes = {ops::activation_field(), real("shift_factor", 1, "Of the shift, where there is one.")},
    .infer =
        [](const InferContext& context) {
          ops::want_rank(context, 0, 4, "input of scale");
          const Shape& x = context.shape(0);
          if (!(context.shape(1) == Shape{x[0], x[1]})) {
            throw ShapeMismatch{fmt::format("scales {} do not fit input {}", context.shape(1).text(), x.text())};
          }
          return ops::like_first(context);
        },
    .flops = ops::per_output_element(1),
    .gradient = [](GradientContext& context) -> std::vector<ValueId> {
      return context.builder.add("scale_backward",
                                 {context.output_gradients[0], context.node.inputs[0], context.node.inputs[1]});
    },
    .backward_needs = {.inputs = {0, 1}},
    .in_place = {{0, 0}, {2, 0}},
}};
/// dy, x, (y), (dy2) → ds [N, C] = Σ dz · x over the pixels and, with an activation, dz: dy + dy2 where y > 0. The part
/// of scale's gradient that can be had before that of s.
const RegisterOp kScaleSums{{
    .name = "scale_sums",
    .attributes = {ops::activation_field()},
    .infer = [](const InferContext& context) -> std::vector<TensorType> {
      const Shape& x = context.shape(1);
      std::vector<TensorType> types{{{x[0], x[1]}, context.dtype(1)}};
      if (context.attributes.text("activation") == "relu") types.push_back({x, context.dtype(0)});
      return types;
    },
    .flops = [](const Graph& graph,
                const Node& node) { return 3.0 * static_cast<double>(graph.value(node.inputs[1]).shape.elements()); },
    .no_gradient = "it is a gradient",
    .in_place = {{0, 1}, {3, 1}},
}};
const RegisterOp kScaleBackward{{
    .name = "scale_backward",
    .infer = [](const InferContext& context) -> std::vector<TensorType> {
      return {{context.shape(0), context.dtype(0)}, {context.shape(2), context.dtype(2)}};
    },
    .flops = ops::per_output_element(3),
    .no_gradient = "it is a gradient",
}};

const RegisterOp kConcat{{
    .name = "concat",
    .infer = [](const InferContext& context) -> std::vector<TensorType> {
      Shape y = context.shape(0);
      for (std::size_t i = 1; i < context.inputs.size(); ++i) {
        Shape other = context.shape(i);
        const std::int64_t channels = other[1];
        other[1] = context.shape(0)[1];
        if (!(other == context.shape(0))) {
          throw ShapeMismatch{fmt::format("concat: shapes {} and {} differ in more than channels",
                                          context.shape(0).text(), context.shape(i).text())};
        }
        y[1] += channels;
      }
      return {{y, context.dtype(0)}};
    },
    .gradient = [](GradientContext& context) -> std::vector<ValueId> {
      std::vector<std::int64_t> channels;
      for (const ValueId input : context.node.inputs) channels.push_back(context.builder.shape(input)[1]);
      return context.builder.add("concat_backward", {context.output_gradients[0]}, {{"channels", channels}});
    },
}};
const RegisterOp kConcatBackward{{
    .name = "concat_backward",
    .attributes = {integers("channels", std::nullopt, "Of each input of concat.").at_least(1)},
    .infer = [](const InferContext& context) -> std::vector<TensorType> {
      std::vector<TensorType> types;
      for (const std::int64_t channels : context.attributes.integers("channels")) {
        Shape part = context.shape(0);
        part[1] = channels;
        types.push_back({part, context.dtype(0)});
      }
      return types;
    },
    .no_gradient = "it is a gradient",
}};

const RegisterOp kFlatten{{
    .name = "flatten",
    .infer = [](const InferContext& context) -> std::vector<TensorType> {
      const Shape& x = context.shape(0);
      return {{{x[0], x.elements() / x[0]}, context.dtype(0)}};
    },
    .gradient = [](GradientContext& context) -> std::vector<ValueId> {
      const Shape x = context.builder.shape(context.node.inputs[0]);
      return {context.builder.add1("unflatten", {context.output_gradients[0]},
                                   {{"shape", std::vector<std::int64_t>(x.extents().begin(), x.extents().end())}})};
    },
    .is_view = true,
}};
const RegisterOp kUnflatten{{
    .name = "unflatten",
    .attributes = {integers("shape", std::nullopt, "Of the output.").at_least(1)},
    .infer = [](const InferContext& context) -> std::vector<TensorType> {
      return {{Shape(context.attributes.integers("shape")), context.dtype(0)}};
    },
    .no_gradient = "it is a gradient",
    .is_view = true,
}};

Field pads_field() {
  return integers("pads", std::nullopt, "[top, bottom, left, right].").at_least(0).of_length({4});
}

const RegisterOp kPad{{
    .name = "pad",
    .attributes = {pads_field()},
    .infer = [](const InferContext& context) -> std::vector<TensorType> {
      ops::want_rank(context, 0, 4, "input of pad");
      const std::vector<std::int64_t>& pads = context.attributes.integers("pads");
      const Shape& x = context.shape(0);
      return {{{x[0], x[1], x[2] + pads[0] + pads[1], x[3] + pads[2] + pads[3]}, context.dtype(0)}};
    },
    .gradient = [](GradientContext& context) -> std::vector<ValueId> {
      return {context.builder.add1("pad_backward", {context.output_gradients[0]}, context.node.attributes)};
    },
}};
const RegisterOp kPadBackward{{
    .name = "pad_backward",
    .attributes = {pads_field()},
    .infer = [](const InferContext& context) -> std::vector<TensorType> {
      const std::vector<std::int64_t>& pads = context.attributes.integers("pads");
      const Shape& y = context.shape(0);
      return {{{y[0], y[1], y[2] - pads[0] - pads[1], y[3] - pads[2] - pads[3]}, context.dtype(0)}};
    },
    .no_gradient = "it is a gradient",
}};

Field stride_field() {
  return integer("stride", 1, "Step in both directions.").at_least(1);
}
Field channels_field() {
  return integer("channels", std::nullopt, "Channels after padding.").at_least(1);
}

/// x[:, :, ::stride, ::stride] between zero channels: (channels − C) / 2 before, the rest after.
const RegisterOp kShortcutA{{
    .name = "shortcut_a",
    .attributes = {stride_field(), channels_field()},
    .infer = [](const InferContext& context) -> std::vector<TensorType> {
      ops::want_rank(context, 0, 4, "input of shortcut_a");
      const Shape& x = context.shape(0);
      const std::int64_t stride = context.attributes.integer("stride"),
                         channels = context.attributes.integer("channels");
      if (channels < x[1]) throw ShapeMismatch{fmt::format("cannot pad input {} to {} channels", x.text(), channels)};
      return {{{x[0], channels, (x[2] + stride - 1) / stride, (x[3] + stride - 1) / stride}, context.dtype(0)}};
    },
    .gradient = [](GradientContext& context) -> std::vector<ValueId> {
      const Shape x = context.builder.shape(context.node.inputs[0]);
      return {context.builder.add1("shortcut_a_backward", {context.output_gradients[0]},
                                   {{"stride", context.node.attributes.integer("stride")},
                                    {"input_shape", std::vector<std::int64_t>{x[1], x[2], x[3]}}})};
    },
}};
const RegisterOp kShortcutABackward{{
    .name = "shortcut_a_backward",
    .attributes = {stride_field(),
                   integers("input_shape", std::nullopt, "[C, H, W] of the input.").at_least(1).of_length({3})},
    .infer = [](const InferContext& context) -> std::vector<TensorType> {
      const std::vector<std::int64_t>& x = context.attributes.integers("input_shape");
      return {{{context.shape(0)[0], x[0], x[1], x[2]}, context.dtype(0)}};
    },
    .no_gradient = "it is a gradient",
}};

const RegisterLayer kFlattenLayer{
    {.name = "flatten", .doc = "[N, C, H, W] to [N, C · H · W].", .fields = {}},
    [](Builder& builder, ValueId x, const LayerSpec&) { return builder.add1("flatten", {x}); }};

const RegisterLayer kPadLayer{
    {.name = "pad",
     .doc = "Zeros round the image.",
     .fields =
         {integers("pads", std::nullopt, "All sides, or [top, bottom, left, right].").at_least(0).of_length({1, 4})},
     .shorthand = "pads"},
    [](Builder& builder, ValueId x, const LayerSpec& layer) {
      std::vector<std::int64_t> pads = layer.attributes.integers("pads");
      if (pads.size() == 1) pads.assign(4, pads[0]);
      return builder.add1("pad", {x}, {{"pads", pads}});
    }};

const RegisterLayer kShortcutALayer{
    {.name = "shortcut_a",
     .doc = "Parameter-free shortcut: every stride-th pixel, padded with zero channels (He et al. 2015, option A).",
     .fields = {stride_field(), channels_field()}},
    [](Builder& builder, ValueId x, const LayerSpec& layer) {
      return builder.add1("shortcut_a", {x}, layer.attributes);
    }};

}  // namespace
}  // namespace athanor
