#include "config/complete_attributes.h"

#include <algorithm>

#include "config/field_value.h"
#include "config/nearest.h"

namespace athanor {
namespace {

bool allows_element(const Field& field, bool) {
  return field.type == FieldType::boolean;
}
bool allows_element(const Field& field, std::int64_t value) {
  return field.in_range(static_cast<double>(value));
}
bool allows_element(const Field& field, double value) {
  return field.in_range(value);
}
bool allows_element(const Field& field, const std::string& value) {
  return field.choices.empty() || std::find(field.choices.begin(), field.choices.end(), value) != field.choices.end();
}

/// The type that a field's values have.
template <typename T>
bool is_type(FieldType type) {
  if constexpr (std::is_same_v<T, bool>) return type == FieldType::boolean;
  if constexpr (std::is_same_v<T, std::int64_t>) return type == FieldType::integer;
  if constexpr (std::is_same_v<T, double>) return type == FieldType::real;
  if constexpr (std::is_same_v<T, std::string>) return type == FieldType::text;
  if constexpr (std::is_same_v<T, std::vector<std::int64_t>>) return type == FieldType::integers;
  if constexpr (std::is_same_v<T, std::vector<double>>) return type == FieldType::reals;
  if constexpr (std::is_same_v<T, std::vector<std::string>>) return type == FieldType::texts;
}

template <typename T>
bool allows(const Field& field, const T& value) {
  return allows_element(field, value);
}
template <typename T>
bool allows(const Field& field, const std::vector<T>& values) {
  const auto& lengths = field.lengths;
  return (lengths.empty() || std::find(lengths.begin(), lengths.end(), values.size()) != lengths.end()) &&
         std::all_of(values.begin(), values.end(), [&](const T& value) { return allows_element(field, value); });
}

bool is_allowed(const Field& field, const AttributeValue& value) {
  return std::visit(
      [&](const auto& held) { return is_type<std::decay_t<decltype(held)>>(field.type) && allows(field, held); },
      value);
}

const Field* find_field(const std::vector<Field>& fields, std::string_view name) {
  const auto found = std::find_if(fields.begin(), fields.end(), [&](const Field& field) { return field.name == name; });
  return found == fields.end() ? nullptr : &*found;
}

std::string unknown(const std::vector<Field>& fields, const std::string& name) {
  std::vector<std::string> names;
  for (const Field& field : fields) names.push_back(field.name);
  return fmt::format("no attribute '{}'{}", name, suggestion(name, names));
}

}  // namespace

std::string complete_attributes(const std::vector<Field>& fields, Attributes& attributes) {
  for (const auto& [name, value] : attributes.entries()) {
    const Field* field = find_field(fields, name);
    if (field == nullptr) return unknown(fields, name);
    if (!is_allowed(*field, value)) {
      return fmt::format("attribute '{}': wanted {}, found {}", name, wanted_text(*field), to_text(value));
    }
  }
  for (const Field& field : fields) {
    if (attributes.find(field.name) != nullptr) continue;
    if (!field.default_value) return fmt::format("attribute '{}' is missing: {}", field.name, wanted_text(field));
    attributes.set(field.name, *field.default_value);
  }
  return "";
}

}  // namespace athanor
