#include "models/model.h"

#include <fmt/ranges.h>

#include <map>

#include "config/registry.h"
#include "graph/layer.h"

namespace athanor {
namespace {

std::map<std::string, ModelBuild, std::less<>>& table() {
  static std::map<std::string, ModelBuild, std::less<>> builds;
  return builds;
}

/// "FILE:LINE:COLUMN: " or nothing.
std::string prefix(const Location& place) {
  const std::string text = place.text();
  return text.empty() ? "" : text + ": ";
}

ValueId build_named(Builder& builder, ValueId x, const ModelSpec& model) {
  const auto build = table().find(model.name);
  if (build == table().end()) {
    std::vector<std::string> names;
    for (const auto& [name, unused] : table()) names.push_back(name);
    throw UsageError("{}unknown model '{}'; use one of {}", prefix(model.place), model.name, fmt::join(names, ", "));
  }
  const Schema& schema = *find_schema("model", model.name);
  Attributes attributes = schema.defaults();
  for (const auto& [key, value] : model.attributes.entries()) {
    if (schema.find(key) == nullptr) {
      throw UsageError("{}model {} has no setting '{}'", prefix(model.place), model.name, key);
    }
    attributes.set(key, value);
  }
  return build->second(builder, x, attributes);
}

}  // namespace

RegisterModel::RegisterModel(Schema schema, ModelBuild build) {
  table().emplace(schema.name, std::move(build));
  RegisterSchema("model", std::move(schema));
}

ValueId build_model(Builder& builder, ValueId x, const ModelSpec& model) {
  const Scope scope(builder, "", model.place);
  if (model.build) return model.build(builder, x);
  if (!model.name.empty()) return build_named(builder, x, model);
  return build_layers(builder, x, model.layers);
}

}  // namespace athanor
