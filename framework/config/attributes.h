// The values of a validated section of a recipe, or of a node of the graph: names to typed values, in schema order.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/error.h"

namespace athanor {

using AttributeValue = std::variant<bool, std::int64_t, double, std::string, std::vector<std::int64_t>,
                                    std::vector<double>, std::vector<std::string>>;

/// A small ordered map. Used when recipes are read and plans are made, never in the step loop.
class Attributes {
 public:
  Attributes() = default;
  Attributes(std::initializer_list<std::pair<std::string, AttributeValue>> entries) : entries_(entries) {}

  /// Adds or replaces.
  void set(std::string_view name, AttributeValue value) {
    for (auto& [key, held] : entries_) {
      if (key == name) {
        held = std::move(value);
        return;
      }
    }
    entries_.emplace_back(name, std::move(value));
  }

  const AttributeValue* find(std::string_view name) const {
    for (const auto& [key, held] : entries_) {
      if (key == name) return &held;
    }
    return nullptr;
  }

  /// The value as a `T` (one of the variant's types); a missing name or another type is a broken invariant, because
  /// a schema has filled in the defaults and checked the types.
  template <typename T>
  const T& get(std::string_view name) const {
    const AttributeValue* held = find(name);
    ATHANOR_CHECK(held != nullptr, "no attribute '{}'", name);
    const T* typed = std::get_if<T>(held);
    ATHANOR_CHECK(typed != nullptr, "attribute '{}' has another type", name);
    return *typed;
  }

  bool flag(std::string_view name) const { return get<bool>(name); }
  std::int64_t integer(std::string_view name) const { return get<std::int64_t>(name); }
  double real(std::string_view name) const { return get<double>(name); }
  const std::string& text(std::string_view name) const { return get<std::string>(name); }
  const std::vector<std::int64_t>& integers(std::string_view name) const {
    return get<std::vector<std::int64_t>>(name);
  }

  const std::vector<std::pair<std::string, AttributeValue>>& entries() const { return entries_; }
  friend bool operator==(const Attributes&, const Attributes&) = default;

 private:
  std::vector<std::pair<std::string, AttributeValue>> entries_;
};

/// A value as it would stand in a recipe: `true`, `3`, `0.1`, `[1, 2]`, `name`. Reals print so that they read back
/// equal.
std::string to_text(const AttributeValue& value);

}  // namespace athanor
