#include "config/validate.h"

#include <algorithm>

#include "config/field_value.h"
#include "config/nearest.h"

namespace athanor {
namespace {

std::vector<std::string> valid_keys(const Schema& schema, const ValidateOptions& options) {
  std::vector<std::string> keys;
  for (const std::string& key : options.other_keys) keys.push_back(key);
  for (const Field& field : schema.fields) {
    if (std::find(keys.begin(), keys.end(), field.name) == keys.end()) keys.push_back(field.name);
  }
  return keys;
}

void refuse_unknown_keys(const YamlNode& section, const std::vector<std::string>& valid, std::string_view path,
                         Problems& problems, const ValidateOptions& options) {
  for (const Entry& entry : section.entries) {
    if (std::find(valid.begin(), valid.end(), entry.key) != valid.end()) continue;
    const std::string hint = options.hint ? options.hint(entry.key) : "";
    const std::string choices = valid.empty() ? "; no keys are allowed here" : suggestion(entry.key, valid);
    problems.add(entry.key_place, join_path(path, entry.key), fmt::format("unknown key{}{}", hint, choices));
  }
}

void read_layers(const YamlNode* node, const YamlNode& section, const Field& field, const std::string& path,
                 Problems& problems, LayerLists* lists) {
  ATHANOR_CHECK(lists != nullptr, "nowhere to put the layers of '{}'", path);
  std::vector<LayerSpec> layers;
  if (node != nullptr) layers = validate_layers(*node, path, problems);
  const bool empty = node == nullptr || (node->is_sequence() && node->items.empty());
  if (field.must_hold_layers && empty) {
    problems.add(node ? node->place : section.place, path, "is missing; wanted a list of layers");
  }
  lists->emplace_back(field.name, std::move(layers));
}

}  // namespace

Attributes validate(const YamlNode& section, const Schema& schema, std::string_view path, Problems& problems,
                    const ValidateOptions& options) {
  Attributes values;
  const std::vector<std::string> valid = valid_keys(schema, options);
  if (!section.is_mapping() && !section.is_null()) {
    const std::string example =
        valid.empty() ? "no settings" : fmt::format("settings such as {{{}: …}}", valid.front());
    problems.add(section.place, path, fmt::format("wanted {}, found {}", example, found_text(section)));
    return schema.defaults();
  }
  refuse_unknown_keys(section, valid, path, problems, options);
  for (const Field& field : schema.fields) {
    const YamlNode* node = section.find(field.name);
    const std::string field_path = join_path(path, field.name);
    if (field.type == FieldType::layers) {
      read_layers(node, section, field, field_path, problems, options.layers);
      continue;
    }
    std::optional<AttributeValue> value = field.default_value;
    if (node != nullptr) {
      if (auto given = read_value(*node, field, field_path, problems)) value = std::move(given);
    } else if (!value) {
      problems.add(section.place, field_path, fmt::format("is missing; wanted {}", wanted_text(field)));
    }
    if (value) values.set(field.name, *std::move(value));
  }
  return values;
}

}  // namespace athanor
