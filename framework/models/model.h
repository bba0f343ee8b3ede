// What a recipe or a program means by "the model": a registered network by name, a list of layers, or a function.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/location.h"
#include "base/shape.h"
#include "config/layer_spec.h"
#include "config/schema.h"
#include "graph/builder.h"

namespace athanor {

/// Exactly one of `name`, `layers` and `build` is set.
struct ModelSpec {
  std::string name;                                 ///< a registered model: "cifar_resnet"
  Attributes attributes;                            ///< of the named model; missing ones take their defaults
  std::vector<LayerSpec> layers;                    ///< as a recipe lists them
  std::function<ValueId(Builder&, ValueId)> build;  ///< of a C++ program: images [N, C, H, W] to logits [N, classes]
  Shape input;                                      ///< [C, H, W] that the model wants; rank 0: whatever the data has
  Location place;                                   ///< where the recipe says so

  /// For messages: "model cifar_resnet", "the model".
  std::string title() const { return name.empty() ? "the model" : "model " + name; }
};

/// Adds a network to the builder's graph: images [N, C, H, W] to logits [N, classes]. All attributes are there.
/// Throws UsageError for attributes that do not fit together, shapes that do not fit.
using ModelBuild = std::function<ValueId(Builder&, ValueId x, const Attributes&)>;

/// `const RegisterModel kNet{{.name = "alchemy_net", …}, build};` also registers the schema as kind "model".
struct RegisterModel {
  RegisterModel(Schema schema, ModelBuild build);
};

/// Adds the model to the builder's graph and returns its output. Parameters are named as the model names them, without
/// a prefix. Throws UsageError for an unknown name, and what the model throws.
ValueId build_model(Builder& builder, ValueId x, const ModelSpec& model);

}  // namespace athanor
