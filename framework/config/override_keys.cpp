#include "config/override_keys.h"

#include <algorithm>
#include <array>

#include "config/document.h"
#include "config/nearest.h"
#include "config/registry.h"

namespace athanor {
namespace {

/// In the order in which a name without its section is looked for: `lr` is the optimizer's, not the schedule's.
constexpr std::array<std::string_view, 8> kSections = {"train", "ema",      "eval", "checkpoint",
                                                       "comm",  "watchdog", "cuda", "data.normalize"};
constexpr std::array<std::string_view, 5> kKinds = {"optimizer", "schedule", "data", "model", "loss"};

void add_fields(std::vector<std::string>& keys, std::string_view prefix, const Schema& schema) {
  for (const Field& field : schema.fields) {
    std::string key = join_path(prefix, field.name);
    if (field.type != FieldType::layers && std::find(keys.begin(), keys.end(), key) == keys.end()) {
      keys.push_back(std::move(key));
    }
  }
}

void add_section(std::vector<std::string>& keys, std::string_view section, std::string_view prefix) {
  if (const Schema* schema = find_schema("section", section)) add_fields(keys, prefix, *schema);
}

std::string last_part(const std::string& key) {
  return key.substr(key.rfind('.') + 1);
}

}  // namespace

std::vector<std::string> override_keys() {
  std::vector<std::string> keys;
  add_section(keys, "recipe", "");
  for (const std::string_view section : kSections) add_section(keys, section, section);
  add_section(keys, "data", "data");
  add_section(keys, "every model", "model");
  for (const std::string_view kind : kKinds) {
    keys.push_back(join_path(kind, "name"));
    for (const Schema* schema : schemas_of(kind)) add_fields(keys, kind, *schema);
  }
  return keys;
}

std::optional<std::string> override_key_meant(std::string_view name) {
  const std::vector<std::string> keys = override_keys();
  std::vector<std::string> candidates = keys;
  if (name.find('.') == std::string_view::npos) std::transform(keys.begin(), keys.end(), candidates.begin(), last_part);
  const std::optional<std::string> meant = nearest(name, candidates);
  if (!meant) return std::nullopt;
  return keys[static_cast<std::size_t>(std::find(candidates.begin(), candidates.end(), *meant) - candidates.begin())];
}

}  // namespace athanor
