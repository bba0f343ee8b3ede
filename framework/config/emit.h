// Checked settings back to YAML (the resolved recipe of a run folder), and the first difference between two trees.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/document.h"
#include "config/validate.h"

namespace athanor {

YamlNode to_node(const AttributeValue& value);
YamlNode to_node(const Attributes& attributes);
/// `{name: …, settings}`.
YamlNode to_node(const NamedSettings& named);
/// `[{name: {settings}}, …]`; a name without settings stands alone.
YamlNode to_node(const std::vector<NamedSettings>& list);
YamlNode to_node(const std::vector<LayerSpec>& layers);

/// All on one line: `{lr: 0.1, groups: []}`.
std::string emit_line(const YamlNode& node);

/// YAML text that parses back to an equal tree: block style, with what is short and flat on one line.
std::string emit(const YamlNode& root);

/// Where two trees differ first, in the order of `a`; a side that lacks the key says "(not set)".
struct Difference {
  std::string path;
  std::string a;
  std::string b;
};

/// Numbers compare by value, so 0.10 equals 0.1; the order of keys does not matter.
std::optional<Difference> difference(const YamlNode& a, const YamlNode& b, std::string_view path = "");

}  // namespace athanor
