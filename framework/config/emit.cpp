#include "config/emit.h"

#include <algorithm>

#include "config/field_value.h"

namespace athanor {
namespace {

constexpr std::size_t kLineWidth = 110;
constexpr std::size_t kIndent = 2;

bool reads_as_null(std::string_view text) {
  return text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL";
}

/// True for a scalar that YAML takes as it stands, in block and in flow style.
bool is_plain(std::string_view text) {
  constexpr std::string_view kSafe = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./+-";
  return !reads_as_null(text) && text.find_first_not_of(kSafe) == std::string_view::npos && text != "-" &&
         !text.starts_with("--") && !text.starts_with("...");
}

std::string scalar_text(std::string_view text, bool quoted) {
  if (!quoted && is_plain(text)) return std::string(text);
  std::string result = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      result += '\\';
      result += c;
    } else if (byte < 0x20 || byte == 0x7F) {
      result += fmt::format("\\x{:02x}", byte);
    } else {
      result += c;
    }
  }
  return result + "\"";
}

bool holds_mapping(const YamlNode& node) {
  const auto has = [](const YamlNode& child) { return child.is_mapping() || holds_mapping(child); };
  return std::any_of(node.items.begin(), node.items.end(), has) ||
         std::any_of(node.entries.begin(), node.entries.end(), [&](const Entry& entry) { return has(entry.value); });
}

/// What stands on one line: scalars and empty nodes always, flat lists and mappings when they fit in `room` columns.
std::optional<std::string> one_line(const YamlNode& node, std::size_t room) {
  const bool flat = !holds_mapping(node);
  if (!flat) return std::nullopt;
  std::string text = emit_line(node);
  const bool can_break = !node.items.empty() || !node.entries.empty();
  if (can_break && text.size() > room) return std::nullopt;
  return text;
}

/// Writes the children of a list or mapping, each on lines of their own. `lead` stands before the first one: the dash
/// of the list item that they are in.
void write_block(const YamlNode& node, std::size_t indent, std::string lead, std::string& out) {
  const auto write = [&](const std::string& head, const YamlNode& value) {
    const std::string start = (lead.empty() ? std::string(indent, ' ') : lead) + head;
    lead.clear();
    const std::size_t room = kLineWidth - std::min(kLineWidth, start.size());
    if (const auto line = one_line(value, room)) {
      out += fmt::format("{}{}{}\n", start, head.back() == ':' ? " " : "", *line);
    } else if (head.back() == ':') {
      out += start + "\n";
      write_block(value, indent + kIndent, "", out);
    } else {
      write_block(value, indent + kIndent, start, out);
    }
  };
  for (const YamlNode& item : node.items) write("- ", item);
  for (const Entry& entry : node.entries) write(scalar_text(entry.key, false) + ":", entry.value);
}

bool equal_scalars(const YamlNode& a, const YamlNode& b) {
  if (a.text == b.text) return true;
  const auto x = parse_real(a.text);
  const auto y = parse_real(b.text);
  return !a.quoted && !b.quoted && x && y && *x == *y;
}

std::string shown(const YamlNode* node) {
  return node == nullptr ? "(not set)" : emit_line(*node);
}

std::optional<Difference> difference_of(const YamlNode* a, const YamlNode* b, const std::string& path) {
  if (a != nullptr && b != nullptr) return difference(*a, *b, path);
  return Difference{path, shown(a), shown(b)};
}

}  // namespace

std::string emit_line(const YamlNode& node) {
  std::string result;
  switch (node.kind) {
    case YamlNode::Kind::null:
      return "~";
    case YamlNode::Kind::scalar:
      return scalar_text(node.text, node.quoted);
    case YamlNode::Kind::sequence:
      for (const YamlNode& item : node.items) result += (result.empty() ? "" : ", ") + emit_line(item);
      return "[" + result + "]";
    case YamlNode::Kind::mapping:
      for (const Entry& entry : node.entries) {
        result += (result.empty() ? "" : ", ") + scalar_text(entry.key, false) + ": " + emit_line(entry.value);
      }
      return "{" + result + "}";
  }
  return result;
}

std::string emit(const YamlNode& root) {
  const bool has_children = !root.items.empty() || !root.entries.empty();
  if (!has_children) return emit_line(root) + "\n";
  std::string out;
  write_block(root, 0, "", out);
  return out;
}

std::optional<Difference> difference(const YamlNode& a, const YamlNode& b, std::string_view path) {
  if (a.kind != b.kind) return Difference{std::string(path), shown(&a), shown(&b)};
  if (a.is_scalar() && !equal_scalars(a, b)) return Difference{std::string(path), shown(&a), shown(&b)};
  for (std::size_t i = 0; i < std::max(a.items.size(), b.items.size()); ++i) {
    const YamlNode* left = i < a.items.size() ? &a.items[i] : nullptr;
    const YamlNode* right = i < b.items.size() ? &b.items[i] : nullptr;
    if (auto found = difference_of(left, right, join_path(path, std::to_string(i)))) return found;
  }
  for (const Entry& entry : a.entries) {
    if (auto found = difference_of(&entry.value, b.find(entry.key), join_path(path, entry.key))) return found;
  }
  for (const Entry& entry : b.entries) {
    if (a.find(entry.key) == nullptr) return difference_of(nullptr, &entry.value, join_path(path, entry.key));
  }
  return std::nullopt;
}

}  // namespace athanor
