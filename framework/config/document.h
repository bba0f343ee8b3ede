// A YAML file as a small tree in which every node knows where it was written. Strict where YAML is lax: duplicate keys,
// tabs, anchors, tags and several documents are refused, and depth and size are bounded. It knows nothing of schemas.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/location.h"
#include "config/problems.h"

namespace athanor {

struct Entry;

/// One value of the tree.
struct YamlNode {
  enum class Kind { null, scalar, sequence, mapping };

  Kind kind = Kind::null;
  std::string text;             ///< a scalar's text, unquoted
  bool quoted = false;          ///< the scalar stood in quotes, so it is text even where it looks like a number
  std::vector<YamlNode> items;  ///< of a sequence
  std::vector<Entry> entries;   ///< of a mapping, in the order of the file, keys distinct
  Location place;               ///< of the value; of the key where the value starts on a later line

  bool is_null() const { return kind == Kind::null; }
  bool is_scalar() const { return kind == Kind::scalar; }
  bool is_sequence() const { return kind == Kind::sequence; }
  bool is_mapping() const { return kind == Kind::mapping; }

  /// The value under `key`, or nullptr; nullptr for anything but a mapping.
  const YamlNode* find(std::string_view key) const;
  YamlNode* find(std::string_view key);
  /// Adds or replaces; makes a null node a mapping.
  void set(std::string_view key, YamlNode value);
  /// True when the key was there.
  bool erase(std::string_view key);
};

/// One `key: value`.
struct Entry {
  std::string key;
  Location key_place;
  YamlNode value;
};

inline constexpr std::size_t kMaxDepth = 64;           ///< lists and mappings inside each other
inline constexpr std::size_t kMaxBytes = 1024 * 1024;  ///< of one file

/// Parses UTF-8 YAML; `file` only names the place in messages. Throws UsageError that lists what is wrong, each with
/// its place and what to do.
YamlNode parse_yaml(std::string_view text, std::string file);

/// As above, but adds what is wrong to `problems`. After a duplicate key the first value stands and the tree can be
/// checked further; after a syntax error there is no tree.
std::optional<YamlNode> parse_yaml(std::string_view text, std::string file, Problems& problems);

/// Reads and parses a file. Throws UsageError, also when it is missing or cannot be read.
YamlNode load_yaml(const std::string& path);
std::optional<YamlNode> load_yaml(const std::string& path, Problems& problems);

/// A node by its path, with numbers for list items ("train.batch", "model.layers.0.conv"); nullptr when there is none.
const YamlNode* find_node(const YamlNode& root, std::string_view path);

/// Where `path` was written: its key, or, when the file leaves it to a default, the nearest section around it.
Location locate(const YamlNode& root, std::string_view path);

/// "optimizer" and "lr" give "optimizer.lr"; an empty prefix gives the key alone.
std::string join_path(std::string_view prefix, std::string_view key);

/// What stands there, for messages: "text 'many'", "2.5", "nothing", "a list of 3", "a mapping".
std::string found_text(const YamlNode& node);

YamlNode scalar_node(std::string text);
YamlNode sequence_node();
YamlNode mapping_node();

}  // namespace athanor
