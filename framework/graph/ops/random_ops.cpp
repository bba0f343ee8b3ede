// Dropout (Srivastava et al. 2014) and stochastic depth (Huang et al. 2016). The mask is a function of the seed, the
// layer, the epoch and the sample's index, so it is computed again in backward instead of being kept.
#include "base/random.h"
#include "graph/ops/support.h"

namespace athanor {
namespace {

Field rate_field(std::optional<double> value) {
  return real("rate", value, "Probability.").at_least(0).below(1);
}

struct RegisterRandomOp {
  explicit RegisterRandomOp(const std::string& name) {
    // The gradient of a mask is the same mask: the op is its own backward.
    RegisterOp({.name = name,
                .attributes = {rate_field(std::nullopt), integer("key", std::nullopt, "Of the layer's name.")},
                .infer = ops::like_first,
                .flops = ops::per_output_element(2),
                .gradient = [name](GradientContext& context) -> std::vector<ValueId> {
                  const Node& node = context.node;
                  return {context.builder.add1(name, {context.output_gradients[0], node.inputs[1], node.inputs[2]},
                                               node.attributes),
                          kNoValue, kNoValue};
                },
                .backward_needs = {.inputs = {1, 2}},
                .in_place = {{0, 0}}});
    RegisterLayer({.name = name,
                   .doc = name == "dropout"
                              ? "Zeroes elements with probability `rate`; the rest is scaled by 1 / (1 − rate)."
                              : "Drops the whole sample with probability `rate`; the rest is scaled by 1 / (1 − rate).",
                   .fields = {rate_field(0.5)},
                   .shorthand = "rate"},
                  [name](Builder& builder, ValueId x, const LayerSpec& layer) {
                    const double rate = layer.attributes.real("rate");
                    if (!builder.training || rate == 0) return x;
                    return builder.add1(name, {x, builder.input_named("sample_indices"), builder.input_named("epoch")},
                                        {{"rate", rate}, {"key", static_cast<std::int64_t>(key_of(builder.scope()))}});
                  });
  }
};

const RegisterRandomOp kDropout{"dropout"};
const RegisterRandomOp kStochasticDepth{"stochastic_depth"};

}  // namespace
}  // namespace athanor
