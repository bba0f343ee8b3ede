// The head of the step, and conversions that passes insert: input preparation, casts and layout changes.
#include "graph/ops/support.h"

namespace athanor {
namespace {

constexpr std::array kActivationTypes{DType::f32, DType::bf16, DType::f16};

DType dtype_named(std::string_view name) {
  for (const DType dtype : kActivationTypes) {
    if (name_of(dtype) == name) return dtype;
  }
  ATHANOR_CHECK(false, "no activation type '{}'", name);
}

Field dtype_field() {
  std::vector<std::string> names;
  for (const DType dtype : kActivationTypes) names.emplace_back(name_of(dtype));
  return text("dtype", std::nullopt, "Element type of the output.").one_of(std::move(names));
}

/// images uint8 [N, C, H, W], transforms [N, bytes of one] → (pixel / 255 − mean) / std, cropped, flipped and cut out.
const RegisterOp kPrepareInput{{
    .name = "prepare_input",
    .attributes = {reals("mean", std::nullopt, "Per channel, of pixels in 0–1."),
                   reals("std", std::nullopt, "Per channel, of pixels in 0–1.").above(0), dtype_field()},
    .infer = [](const InferContext& context) -> std::vector<TensorType> {
      const std::size_t channels = static_cast<std::size_t>(context.shape(0)[1]);
      for (const char* name : {"mean", "std"}) {
        const std::size_t given = context.attributes.get<std::vector<double>>(name).size();
        if (given != channels) {
          throw ShapeMismatch{
              fmt::format("data.normalize.{} has {} values, the images have {} channels", name, given, channels)};
        }
      }
      return {{context.shape(0), dtype_named(context.attributes.text("dtype"))}};
    },
    .flops = ops::per_output_element(2),
    .no_gradient = "pixels are not trained",
}};

const RegisterOp kCast{{
    .name = "cast",
    .attributes = {dtype_field()},
    .infer = [](const InferContext& context) -> std::vector<TensorType> {
      return {{context.shape(0), dtype_named(context.attributes.text("dtype"))}};
    },
    .gradient = [](GradientContext& context) -> std::vector<ValueId> {
      // Weight gradients are float32 already; activations go back in the type of the input.
      const ValueId dy = context.output_gradients[0];
      const DType wanted = context.graph.value(context.node.inputs[0]).dtype;
      if (context.graph.value(dy).dtype == wanted) return {dy};
      return {context.builder.add1("cast", {dy}, {{"dtype", std::string(name_of(wanted))}})};
    },
}};

/// The same numbers in another layout; inserted by the layout pass, so it has no gradient rule.
const RegisterOp kReorder{{
    .name = "reorder",
    .attributes = {text("from", "", "Layout of the input; the layout pass knows it."),
                   text("to", "", "Layout of the output; empty: the back end's choice.")},
    .infer = ops::like_first,
    .no_gradient = "it is inserted after differentiation",
}};

}  // namespace
}  // namespace athanor
