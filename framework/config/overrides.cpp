#include "config/overrides.h"

#include "config/field_value.h"

namespace athanor {
namespace {

void place_all(YamlNode& node, const Location& place) {
  node.place = place;
  for (YamlNode& item : node.items) place_all(item, place);
  for (Entry& entry : node.entries) {
    entry.key_place = place;
    place_all(entry.value, place);
  }
}

std::optional<YamlNode> parse_value(const std::string& text, const Location& place, std::string_view path,
                                    Problems& problems) {
  Problems found;
  std::optional<YamlNode> value = parse_yaml(text, "the value", found);
  if (!found.empty()) {
    problems.add(place, path, fmt::format("{} (a text with special characters needs quotes)", found.text()));
    return std::nullopt;
  }
  place_all(*value, place);
  return value;
}

/// The child that `segment` names, made when it can be; nullptr after adding a problem. `done` is the path so far.
YamlNode* descend(YamlNode& node, const std::string& segment, const std::string& done, const Location& place,
                  Problems& problems) {
  if (node.is_null() || node.is_mapping()) {
    if (node.is_null()) node.place = place;
    if (node.find(segment) == nullptr) {
      YamlNode fresh;
      fresh.place = place;
      node.set(segment, std::move(fresh));
    }
    return node.find(segment);
  }
  const std::string path = join_path(done, segment);
  if (!node.is_sequence()) {
    problems.add(place, path,
                 fmt::format("'{}' holds {}, so it has no keys; override '{}' itself", done, found_text(node), done));
    return nullptr;
  }
  const auto index = parse_integer(segment);
  const auto count = static_cast<std::int64_t>(node.items.size());
  if (!index || *index < 0 || *index > count) {
    problems.add(place, path,
                 fmt::format("'{}' is a list; wanted an index from 0 to {} ({} appends)", done, count, count));
    return nullptr;
  }
  if (*index == count) {
    node.items.emplace_back();
    node.items.back().place = place;
  }
  return &node.items[static_cast<std::size_t>(*index)];
}

void apply(YamlNode& root, const std::string& argument, Problems& problems) {
  const Location place{fmt::format("command line argument '{}'", argument), 0, 0};
  const std::size_t equals = argument.find('=');
  const std::string path = argument.substr(0, equals);
  const bool holes = path.empty() || path.front() == '.' || path.back() == '.' || path.find("..") != std::string::npos;
  if (equals == std::string::npos || holes) {
    problems.add(place, "wanted KEY=VALUE, as in optimizer.lr=0.1");
    return;
  }
  std::optional<YamlNode> value = parse_value(argument.substr(equals + 1), place, path, problems);
  if (!value) return;

  YamlNode* node = &root;
  YamlNode* parent = nullptr;
  std::string done;
  for (std::size_t at = 0; at <= path.size();) {
    const std::size_t dot = std::min(path.find('.', at), path.size());
    const std::string segment = path.substr(at, dot - at);
    parent = node;
    node = descend(*node, segment, done, place, problems);
    if (node == nullptr) return;
    done = join_path(done, segment);
    at = dot + 1;
  }
  *node = std::move(*value);
  for (Entry& entry : parent->entries) {
    if (&entry.value == node) entry.key_place = place;
  }
}

}  // namespace

void apply_overrides(YamlNode& root, std::span<const std::string> overrides, Problems& problems) {
  for (const std::string& argument : overrides) apply(root, argument, problems);
}

}  // namespace athanor
