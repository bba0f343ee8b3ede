// A section of a recipe against its schema: unknown keys, types, ranges and required keys are checked, defaults filled
// in. Everything wrong goes into Problems; call `throw_if_any` before using a result, which may lack the faulty values.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/attributes.h"
#include "config/document.h"
#include "config/layer_spec.h"
#include "config/problems.h"
#include "config/registry.h"
#include "config/schema.h"

namespace athanor {

/// Lists of layers under the names of their fields, as LayerSpec::children holds them.
using LayerLists = std::vector<std::pair<std::string, std::vector<LayerSpec>>>;

struct ValidateOptions {
  std::vector<std::string> other_keys = {};  ///< also allowed: the caller reads them
  LayerLists* layers = nullptr;              ///< takes fields of type `layers`; needed when the schema has one
  /// More about an unknown key, put in front of the valid ones ("; …"); unset: nothing.
  std::function<std::string(const std::string& key)> hint = {};
};

/// The values of a mapping (nothing at all counts as an empty one), in schema order. `path` is the section's ("train").
Attributes validate(const YamlNode& section, const Schema& schema, std::string_view path, Problems& problems,
                    const ValidateOptions& options = {});

/// A list of layers: `- relu`, `- conv: {channels: 32}`, or the shorthand `- linear: 10`. Schemas are those of `kind`.
std::vector<LayerSpec> validate_layers(const YamlNode& list, std::string_view path, Problems& problems,
                                       std::string_view kind = "layer");

/// A choice by name with the settings of what it names: `{name: sgd, lr: 0.1}`.
struct NamedSettings {
  std::string name;
  Attributes attributes;           ///< without the name; defaults filled in
  Location place;                  ///< of the name
  const Schema* schema = nullptr;  ///< the registered one; nullptr after an unknown name

  friend bool operator==(const NamedSettings& a, const NamedSettings& b) {
    return a.name == b.name && a.attributes == b.attributes;
  }
};

/// A mapping with `name:`, whose other keys are those of the schema of (kind, name), or a bare name. `common` adds
/// fields that every name of the kind has; where both have a field, the named schema's wins.
NamedSettings validate_named(const YamlNode& section, std::string_view kind, std::string_view path, Problems& problems,
                             const std::vector<Field>& common = {}, const std::vector<std::string>& other_keys = {});

/// A list in which each item names a schema of `kind`: `[random_crop: {padding: 2}, horizontal_flip]`.
std::vector<NamedSettings> validate_named_list(const YamlNode& list, std::string_view kind, std::string_view path,
                                               Problems& problems);

}  // namespace athanor
