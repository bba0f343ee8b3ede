// A layer is what a recipe lists: a schema, and a function that adds its ops and parameters to a graph. Layers register
// themselves, most of them in the file of their op.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "config/layer_spec.h"
#include "config/registry.h"
#include "graph/builder.h"

namespace athanor {

/// Adds the layer to the builder's graph, reading `x`; returns its output. The builder's scope names the parameters.
using LayerBuild = std::function<ValueId(Builder&, ValueId x, const LayerSpec&)>;

/// `const RegisterLayer kRelu{{.name = "relu", …}, build};` also registers the schema as kind "layer".
struct RegisterLayer {
  RegisterLayer(Schema schema, LayerBuild build);
};

/// Builds one layer under the scope `name`. An unknown kind is a broken invariant: the reader has checked it.
ValueId build_layer(Builder& builder, ValueId x, const LayerSpec& layer, std::string_view name);
/// The same from C++: `build_layer(builder, x, "conv", {{"channels", 16}, …}, "conv1")`; defaults are filled in.
ValueId build_layer(Builder& builder, ValueId x, std::string_view kind, const Attributes& attributes,
                    std::string_view name);
/// Builds a list in order; each layer is named by its kind and its position among that kind: "conv1", "relu1", "conv2".
ValueId build_layers(Builder& builder, ValueId x, const std::vector<LayerSpec>& layers);

}  // namespace athanor
