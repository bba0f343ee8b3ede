// Typed values to nodes, for emit.
#include "config/emit.h"

namespace athanor {
namespace {

template <typename T>
YamlNode list_node(const std::vector<T>& values) {
  YamlNode node = sequence_node();
  for (const T& value : values) node.items.push_back(to_node(AttributeValue(value)));
  return node;
}

YamlNode item_node(const std::string& name, YamlNode settings) {
  if (settings.entries.empty()) return scalar_node(name);
  YamlNode node = mapping_node();
  node.set(name, std::move(settings));
  return node;
}

}  // namespace

YamlNode to_node(const AttributeValue& value) {
  if (const auto* integers = std::get_if<std::vector<std::int64_t>>(&value)) return list_node(*integers);
  if (const auto* reals = std::get_if<std::vector<double>>(&value)) return list_node(*reals);
  if (const auto* texts = std::get_if<std::vector<std::string>>(&value)) return list_node(*texts);
  return scalar_node(to_text(value));
}

YamlNode to_node(const Attributes& attributes) {
  YamlNode node = mapping_node();
  for (const auto& [name, value] : attributes.entries()) node.set(name, to_node(value));
  return node;
}

YamlNode to_node(const NamedSettings& named) {
  YamlNode node = mapping_node();
  node.set("name", scalar_node(named.name));
  for (const auto& [name, value] : named.attributes.entries()) node.set(name, to_node(value));
  return node;
}

YamlNode to_node(const std::vector<NamedSettings>& list) {
  YamlNode node = sequence_node();
  for (const NamedSettings& named : list) node.items.push_back(item_node(named.name, to_node(named.attributes)));
  return node;
}

YamlNode to_node(const std::vector<LayerSpec>& layers) {
  YamlNode node = sequence_node();
  for (const LayerSpec& layer : layers) {
    YamlNode settings = to_node(layer.attributes);
    for (const auto& [name, children] : layer.children) {
      if (!children.empty()) settings.set(name, to_node(children));
    }
    node.items.push_back(item_node(layer.kind, std::move(settings)));
  }
  return node;
}

}  // namespace athanor
