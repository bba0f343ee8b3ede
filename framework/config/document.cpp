#include "config/document.h"

#include <algorithm>
#include <charconv>

#include "base/error.h"

namespace athanor {
namespace {

/// The first segment of a dotted path; `path` keeps the rest.
std::string_view take_segment(std::string_view& path) {
  const std::size_t dot = path.find('.');
  const std::string_view segment = path.substr(0, dot);
  path = dot == std::string_view::npos ? std::string_view() : path.substr(dot + 1);
  return segment;
}

/// One step down; sets `place` to that of the key or item it found.
const YamlNode* step_down(const YamlNode& node, std::string_view segment, Location& place) {
  if (node.is_mapping()) {
    for (const Entry& entry : node.entries) {
      if (entry.key != segment) continue;
      place = entry.key_place;
      return &entry.value;
    }
  } else if (node.is_sequence()) {
    std::size_t index = 0;
    const auto [end, error] = std::from_chars(segment.data(), segment.data() + segment.size(), index);
    if (error != std::errc() || end != segment.data() + segment.size() || index >= node.items.size()) return nullptr;
    place = node.items[index].place;
    return &node.items[index];
  }
  return nullptr;
}

}  // namespace

const YamlNode* YamlNode::find(std::string_view key) const {
  for (const Entry& entry : entries) {
    if (entry.key == key) return &entry.value;
  }
  return nullptr;
}

YamlNode* YamlNode::find(std::string_view key) {
  return const_cast<YamlNode*>(std::as_const(*this).find(key));
}

void YamlNode::set(std::string_view key, YamlNode value) {
  ATHANOR_CHECK(kind == Kind::mapping || kind == Kind::null, "'{}' set in a node that holds no keys", key);
  kind = Kind::mapping;
  if (YamlNode* held = find(key)) {
    *held = std::move(value);
    return;
  }
  Location key_place = value.place;
  entries.push_back({std::string(key), std::move(key_place), std::move(value)});
}

bool YamlNode::erase(std::string_view key) {
  return std::erase_if(entries, [&](const Entry& entry) { return entry.key == key; }) > 0;
}

const YamlNode* find_node(const YamlNode& root, std::string_view path) {
  const YamlNode* node = &root;
  Location ignored;
  while (node != nullptr && !path.empty()) node = step_down(*node, take_segment(path), ignored);
  return node;
}

Location locate(const YamlNode& root, std::string_view path) {
  Location place = root.place;
  const YamlNode* node = &root;
  while (node != nullptr && !path.empty()) node = step_down(*node, take_segment(path), place);
  return place;
}

std::string join_path(std::string_view prefix, std::string_view key) {
  return prefix.empty() ? std::string(key) : fmt::format("{}.{}", prefix, key);
}

std::string found_text(const YamlNode& node) {
  constexpr std::size_t kLongest = 60;
  switch (node.kind) {
    case YamlNode::Kind::null:
      return "nothing";
    case YamlNode::Kind::sequence:
      return fmt::format("a list of {}", node.items.size());
    case YamlNode::Kind::mapping:
      return "a mapping";
    case YamlNode::Kind::scalar:
      break;
  }
  std::string shown = node.text.size() > kLongest ? node.text.substr(0, kLongest) + "…" : node.text;
  std::replace(shown.begin(), shown.end(), '\n', ' ');
  if (node.quoted) return fmt::format("the quoted text \"{}\"", shown);
  const bool number = shown.find_first_not_of("0123456789+-.eE") == std::string::npos;
  return number ? shown : fmt::format("'{}'", shown);
}

YamlNode scalar_node(std::string text) {
  YamlNode node;
  node.kind = YamlNode::Kind::scalar;
  node.text = std::move(text);
  return node;
}

YamlNode sequence_node() {
  YamlNode node;
  node.kind = YamlNode::Kind::sequence;
  return node;
}

YamlNode mapping_node() {
  YamlNode node;
  node.kind = YamlNode::Kind::mapping;
  return node;
}

}  // namespace athanor
