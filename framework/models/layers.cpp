// Layers of a recipe that hold other layers, or several ops: `residual`, `repeat` and `squeeze_excite`.
#include "graph/builder.h"
#include "graph/layer.h"
#include "models/blocks.h"

namespace athanor {
namespace {

/// Parameters are named "SCOPE.body.conv1.weight" and "SCOPE.shortcut.conv1.weight".
ValueId build_residual(Builder& builder, ValueId x, const LayerSpec& layer) {
  const auto branch = [&](const char* name) {
    const Scope scope(builder, name);
    return build_layers(builder, x, layer.list(name));
  };
  const ValueId body = branch("body"), shortcut = branch("shortcut");
  if (!(builder.shape(body) == builder.shape(shortcut))) {
    const bool is_identity = layer.list("shortcut").empty();
    builder.fail(fmt::format(
        "the body gives {} and the {} {}; {}", builder.shape(body).text(),
        is_identity ? "input, which an empty shortcut passes on, is" : "shortcut gives", builder.shape(shortcut).text(),
        is_identity ? "add a shortcut (`conv: {kernel: 1, …}` or `shortcut_a`) that gives the same shape"
                    : "they must be equal"));
  }
  return builder.add1("add", {body, shortcut});
}

const RegisterLayer kResidual{{.name = "residual",
                               .doc = "body(x) + shortcut(x): two branches of one shape (He et al. 2015, eq. 1).",
                               .fields = {layers("body", "Layers of the one branch.").must_be_given(),
                                          layers("shortcut", "Layers of the other branch; none: x itself.")},
                               .shorthand = {}},
                              build_residual};

/// Parameters of the second round are named "SCOPE.2.conv1.weight".
ValueId build_repeat(Builder& builder, ValueId x, const LayerSpec& layer) {
  const std::int64_t times = layer.attributes.integer("times");
  for (std::int64_t round = 1; round <= times; ++round) {
    const Scope scope(builder, std::to_string(round));
    x = build_layers(builder, x, layer.list("layers"));
  }
  return x;
}

const RegisterLayer kRepeat{{.name = "repeat",
                             .doc = "The same layers several times in a row, each time with parameters of their own.",
                             .fields = {integer("times", std::nullopt, "How often.").at_least(1).at_most(10000),
                                        layers("layers", "What is repeated.").must_be_given()},
                             .shorthand = {}},
                            build_repeat};

const RegisterLayer kSqueezeExcite{
    {.name = "squeeze_excite",
     .doc = "Scales each channel by a number from 0 to 1 that a small network reads off the channel means (Hu et al. "
            "2018).",
     .fields = {integer("ratio", 16, "Input channels per channel of the small network's hidden layer.").at_least(1)},
     .shorthand = "ratio"},
    [](Builder& builder, ValueId x, const LayerSpec& layer) {
      return blocks::squeeze_excite(builder, x, layer.attributes.integer("ratio"), "torch");
    }};

}  // namespace
}  // namespace athanor
