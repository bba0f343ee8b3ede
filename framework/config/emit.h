// Checked settings back to YAML (the resolved recipe of a run folder), and the first difference between two trees.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/document.h"
#include "config/validate.h"

namespace athanor {

Node to_node(const AttributeValue& value);
Node to_node(const Attributes& attributes);
/// `{name: …, settings}`.
Node to_node(const NamedSettings& named);
/// `[{name: {settings}}, …]`; a name without settings stands alone.
Node to_node(const std::vector<NamedSettings>& list);
Node to_node(const std::vector<LayerSpec>& layers);

/// All on one line: `{lr: 0.1, groups: []}`.
std::string emit_line(const Node& node);

/// YAML text that parses back to an equal tree: block style, with what is short and flat on one line.
std::string emit(const Node& root);

/// Where two trees differ first, in the order of `a`; a side that lacks the key says "(not set)".
struct Difference {
  std::string path;
  std::string a;
  std::string b;
};

/// Numbers compare by value, so 0.10 equals 0.1; the order of keys does not matter.
std::optional<Difference> difference(const Node& a, const Node& b, std::string_view path = "");

}  // namespace athanor
