#include "graph/layer.h"

#include <map>

namespace athanor {
namespace {

std::map<std::string, LayerBuild, std::less<>>& table() {
  static std::map<std::string, LayerBuild, std::less<>> builds;
  return builds;
}

}  // namespace

RegisterLayer::RegisterLayer(Schema schema, LayerBuild build) {
  table().emplace(schema.name, std::move(build));
  RegisterSchema("layer", std::move(schema));
}

ValueId build_layer(Builder& builder, ValueId x, const LayerSpec& layer, std::string_view name) {
  const auto build = table().find(layer.kind);
  ATHANOR_CHECK(build != table().end(), "no layer '{}'", layer.kind);
  const Scope scope(builder, name, layer.place);
  return build->second(builder, x, layer);
}

ValueId build_layer(Builder& builder, ValueId x, std::string_view kind, const Attributes& attributes,
                    std::string_view name) {
  const Schema* schema = find_schema("layer", kind);
  ATHANOR_CHECK(schema != nullptr, "no layer '{}'", kind);
  LayerSpec layer{.kind = std::string(kind), .attributes = schema->defaults(), .children = {}, .place = builder.place};
  for (const auto& [key, value] : attributes.entries()) {
    ATHANOR_CHECK(schema->find(key) != nullptr, "layer '{}' has no attribute '{}'", kind, key);
    layer.attributes.set(key, value);
  }
  return build_layer(builder, x, layer, name);
}

ValueId build_layers(Builder& builder, ValueId x, const std::vector<LayerSpec>& layers) {
  std::map<std::string, int> seen;
  for (const LayerSpec& layer : layers) {
    x = build_layer(builder, x, layer, fmt::format("{}{}", layer.kind, ++seen[layer.kind]));
  }
  return x;
}

}  // namespace athanor
