// The parts of a recipe that choose something by name: layers in a list, augmentations, optimizers, data sets, …
#include <fmt/ranges.h>

#include "config/kinds.h"
#include "config/nearest.h"
#include "config/validate.h"

namespace athanor {
namespace {

/// A name with the settings that follow it, before they are checked.
struct NamedItem {
  std::string name;
  Location place;
  YamlNode settings;
  const Schema* schema = nullptr;
};

std::vector<std::string> names_of(std::string_view kind) {
  std::vector<std::string> names;
  for (const Schema* schema : schemas_of(kind)) names.push_back(schema->name);
  return names;
}

const Schema* known_schema(std::string_view kind, const std::string& name, const Location& place, std::string_view path,
                           Problems& problems) {
  const Schema* schema = find_schema(kind, name);
  if (schema == nullptr) {
    problems.add(place, path, fmt::format("unknown {} '{}'{}", word_of(kind), name, suggestion(name, names_of(kind))));
  }
  return schema;
}

void refuse_item(const YamlNode& item, std::string_view kind, std::string_view path, Problems& problems) {
  if (!item.is_mapping() || item.entries.size() < 2) {
    problems.add(item.place, path,
                 fmt::format("wanted the name of {}, as in '- name' or '- name: {{…}}', found {}", one_of_kind(kind),
                             found_text(item)));
    return;
  }
  std::vector<std::string> keys;
  for (const Entry& entry : item.entries) keys.push_back(entry.key);
  const std::string hint = item.entries.front().value.is_null()
                               ? fmt::format("indent the settings of '{}' further", keys.front())
                               : "begin each with '-'";
  problems.add(item.place, path, fmt::format("one item names several: {}; {}", fmt::join(keys, ", "), hint));
}

/// The settings as a mapping; a bare value becomes the schema's shorthand field.
YamlNode settings_of(const YamlNode& value, const Schema& schema) {
  if (value.is_mapping() || schema.shorthand.empty()) return value;
  if (value.is_null()) return value;
  YamlNode settings = mapping_node();
  settings.place = value.place;
  settings.set(schema.shorthand, value);
  return settings;
}

/// `name`, `name:` or `name: settings`. Adds to `path` the name.
std::optional<NamedItem> read_item(const YamlNode& item, std::string_view kind, std::string& path, Problems& problems) {
  NamedItem result;
  const YamlNode* value = nullptr;
  if (item.is_scalar()) {
    result.name = item.text;
    result.place = item.place;
  } else if (item.is_mapping() && item.entries.size() == 1) {
    result.name = item.entries.front().key;
    result.place = item.entries.front().key_place;
    value = &item.entries.front().value;
  } else {
    refuse_item(item, kind, path, problems);
    return std::nullopt;
  }
  result.schema = known_schema(kind, result.name, result.place, path, problems);
  if (result.schema == nullptr) return std::nullopt;
  path = join_path(path, result.name);
  if (value != nullptr) result.settings = settings_of(*value, *result.schema);
  if (result.settings.is_null()) result.settings.place = result.place;
  return result;
}

/// Where a section keeps the settings of another choice of its kind: whose they are, and how to get rid of them where
/// the name was overridden.
std::string settings_of_others(const NamedSettings& chosen, std::string_view kind, std::string_view path,
                               const std::string& key) {
  std::vector<std::string> owners;
  for (const Schema* schema : schemas_of(kind)) {
    if (schema->name != chosen.name && schema->find(key) != nullptr) owners.push_back(schema->name);
  }
  if (owners.empty()) return "";
  std::string hint = fmt::format("; '{}' is a setting of {}, not of {}", key, fmt::join(owners, ", "), chosen.name);
  const bool name_was_overridden = chosen.place.line == 0;
  if (name_was_overridden) {
    hint += fmt::format("; {}='{{name: {}, …}}' in place of {}.name={} replaces the whole section", path, chosen.name,
                        path, chosen.name);
  }
  return hint;
}

bool is_list(const YamlNode& list, std::string_view path, std::string_view kind, Problems& problems) {
  if (list.is_sequence()) return true;
  problems.add(
      list.place, path,
      fmt::format("wanted a list, each item '- ' and the name of {}, found {}", one_of_kind(kind), found_text(list)));
  return false;
}

}  // namespace

std::vector<LayerSpec> validate_layers(const YamlNode& list, std::string_view path, Problems& problems,
                                       std::string_view kind) {
  std::vector<LayerSpec> layers;
  if (!is_list(list, path, kind, problems)) return layers;
  for (std::size_t i = 0; i < list.items.size(); ++i) {
    std::string item_path = join_path(path, std::to_string(i));
    const auto item = read_item(list.items[i], kind, item_path, problems);
    if (!item) continue;
    LayerSpec layer{.kind = item->name, .attributes = {}, .children = {}, .place = item->place};
    layer.attributes = validate(item->settings, *item->schema, item_path, problems, {{}, &layer.children});
    layers.push_back(std::move(layer));
  }
  return layers;
}

NamedSettings validate_named(const YamlNode& section, std::string_view kind, std::string_view path, Problems& problems,
                             const std::vector<Field>& common, const std::vector<std::string>& other_keys) {
  const YamlNode* name = section.is_scalar() ? &section : section.find("name");
  NamedSettings result;
  if (name == nullptr || !name->is_scalar()) {
    problems.add(name ? name->place : section.place, join_path(path, "name"),
                 fmt::format("wanted the name of {}, found {} (valid: {})", one_of_kind(kind),
                             name ? found_text(*name) : "nothing", fmt::join(names_of(kind), ", ")));
    return result;
  }
  result.name = name->text;
  result.place = name->place;
  result.schema = known_schema(kind, result.name, result.place, join_path(path, "name"), problems);
  if (result.schema == nullptr) return result;

  Schema all = *result.schema;
  for (const Field& field : common) {
    if (all.find(field.name) == nullptr) all.fields.push_back(field);
  }
  ValidateOptions options{.other_keys = {"name"}};
  options.hint = [&](const std::string& key) { return settings_of_others(result, kind, path, key); };
  options.other_keys.insert(options.other_keys.end(), other_keys.begin(), other_keys.end());
  YamlNode bare = mapping_node();
  bare.place = section.place;
  result.attributes = validate(section.is_scalar() ? bare : section, all, path, problems, options);
  return result;
}

std::vector<NamedSettings> validate_named_list(const YamlNode& list, std::string_view kind, std::string_view path,
                                               Problems& problems) {
  std::vector<NamedSettings> result;
  if (list.is_null() || !is_list(list, path, kind, problems)) return result;
  for (std::size_t i = 0; i < list.items.size(); ++i) {
    std::string item_path = join_path(path, std::to_string(i));
    const auto item = read_item(list.items[i], kind, item_path, problems);
    if (!item) continue;
    result.push_back(
        {item->name, validate(item->settings, *item->schema, item_path, problems), item->place, item->schema});
  }
  return result;
}

}  // namespace athanor
