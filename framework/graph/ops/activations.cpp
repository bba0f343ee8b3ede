// Activations that act on each element alone, their gradients, and their layers. A gradient reads the output where that
// is enough (ReLU, sigmoid, tanh), so that the input need not be kept; else the input.
#include "graph/ops/support.h"

namespace athanor {
namespace {

struct Activation {
  const char* name;
  const char* doc;
  bool gradient_reads_output;
  double flops;
  std::vector<Field> fields;
};

std::vector<ValueId> activation_gradient(GradientContext& context, bool reads_output) {
  const Node& node = context.node;
  const ValueId saved = reads_output ? node.outputs[0] : node.inputs[0];
  return {context.builder.add1(node.op->name + "_backward", {context.output_gradients[0], saved}, node.attributes)};
}

struct RegisterActivation {
  explicit RegisterActivation(const Activation& activation) {
    const std::string name = activation.name;
    RegisterOp({.name = name,
                .attributes = activation.fields,
                .infer = ops::like_first,
                .flops = ops::per_output_element(activation.flops),
                .gradient = [reads_output = activation.gradient_reads_output](
                                GradientContext& context) { return activation_gradient(context, reads_output); },
                .backward_needs =
                    activation.gradient_reads_output ? BackwardNeeds{.outputs = {0}} : BackwardNeeds{.inputs = {0}},
                .in_place = {{0, 0}}});
    RegisterOp({.name = name + "_backward",
                .attributes = activation.fields,
                .infer = ops::like_first,
                .flops = ops::per_output_element(activation.flops + 1),
                .no_gradient = "it is a gradient",
                .in_place = {{0, 0}}});
    RegisterLayer({.name = name, .doc = activation.doc, .fields = activation.fields},
                  [name](Builder& builder, ValueId x, const LayerSpec& layer) {
                    return builder.add1(name, {x}, layer.attributes);
                  });
  }
};

const RegisterActivation kRelu{{"relu", "max(x, 0).", true, 1, {}}};
const RegisterActivation kLeakyRelu{
    {"leaky_relu", "x where x > 0, else slope · x.", false, 2, {real("slope", 0.01, "Slope below zero.")}}};
const RegisterActivation kSigmoid{{"sigmoid", "1 / (1 + exp(−x)).", true, 4, {}}};
const RegisterActivation kTanh{{"tanh", "Hyperbolic tangent.", true, 4, {}}};
const RegisterActivation kGelu{
    {"gelu",
     "x · Φ(x) (Hendrycks and Gimpel 2016).",
     false,
     8,
     {text("approximate", "none", "`none` for the error function, `tanh` for the approximation.")
          .one_of({"none", "tanh"})}}};
const RegisterActivation kSilu{{"silu", "x · sigmoid(x).", false, 5, {}}};

}  // namespace
}  // namespace athanor
