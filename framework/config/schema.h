// What a section of a recipe may hold: its keys with type, default, range and meaning. One schema serves the strict
// reader, the error messages, the resolved recipe and docs/recipe.md.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/attributes.h"

namespace athanor {

enum class FieldType {
  boolean,
  integer,
  real,
  text,
  integers,  ///< a list of integers, or one integer
  reals,     ///< a list of numbers, or one number
  texts,     ///< a list of strings, or one string
  layers     ///< a list of layers, kept in LayerSpec::children
};

/// One key. Bounds are inclusive unless `open_minimum`/`open_maximum`, and hold for every element of a list.
struct Field {
  std::string name;
  FieldType type = FieldType::integer;
  std::optional<AttributeValue> default_value;  ///< none: the key must be given
  std::string doc;                              ///< one sentence for docs/recipe.md
  double minimum = -std::numeric_limits<double>::infinity();
  double maximum = std::numeric_limits<double>::infinity();
  bool open_minimum = false;
  bool open_maximum = false;
  std::vector<std::string> choices;  ///< allowed texts; empty: any
  std::vector<std::size_t> lengths;  ///< allowed list lengths; empty: any
  bool must_hold_layers = false;     ///< of a `layers` field: left out or empty is an error

  /// Whether a number lies within the bounds; NaN does not.
  bool in_range(double value) const {
    return (open_minimum ? value > minimum : value >= minimum) && (open_maximum ? value < maximum : value <= maximum);
  }

  Field&& at_least(double bound) && { return minimum = bound, std::move(*this); }
  Field&& at_most(double bound) && { return maximum = bound, std::move(*this); }
  Field&& above(double bound) && { return minimum = bound, open_minimum = true, std::move(*this); }
  Field&& below(double bound) && { return maximum = bound, open_maximum = true, std::move(*this); }
  Field&& one_of(std::vector<std::string> names) && { return choices = std::move(names), std::move(*this); }
  Field&& must_be_given() && { return must_hold_layers = true, std::move(*this); }
  Field&& of_length(std::vector<std::size_t> allowed) && { return lengths = std::move(allowed), std::move(*this); }
};

inline Field boolean(std::string name, bool value, std::string doc) {
  return {.name = std::move(name), .type = FieldType::boolean, .default_value = value, .doc = std::move(doc)};
}
inline Field integer(std::string name, std::optional<std::int64_t> value, std::string doc) {
  Field field{.name = std::move(name), .type = FieldType::integer, .default_value = {}, .doc = std::move(doc)};
  if (value) field.default_value = *value;
  return field;
}
inline Field real(std::string name, std::optional<double> value, std::string doc) {
  Field field{.name = std::move(name), .type = FieldType::real, .default_value = {}, .doc = std::move(doc)};
  if (value) field.default_value = *value;
  return field;
}
inline Field text(std::string name, std::optional<std::string> value, std::string doc) {
  Field field{.name = std::move(name), .type = FieldType::text, .default_value = {}, .doc = std::move(doc)};
  if (value) field.default_value = *value;
  return field;
}
inline Field integers(std::string name, std::optional<std::vector<std::int64_t>> value, std::string doc) {
  Field field{.name = std::move(name), .type = FieldType::integers, .default_value = {}, .doc = std::move(doc)};
  if (value) field.default_value = *value;
  return field;
}
inline Field reals(std::string name, std::optional<std::vector<double>> value, std::string doc) {
  Field field{.name = std::move(name), .type = FieldType::reals, .default_value = {}, .doc = std::move(doc)};
  if (value) field.default_value = *value;
  return field;
}
inline Field texts(std::string name, std::optional<std::vector<std::string>> value, std::string doc) {
  Field field{.name = std::move(name), .type = FieldType::texts, .default_value = {}, .doc = std::move(doc)};
  if (value) field.default_value = *value;
  return field;
}
/// May be left out, which gives an empty list, unless `.must_be_given()`.
inline Field layers(std::string name, std::string doc) {
  return {.name = std::move(name), .type = FieldType::layers, .default_value = {}, .doc = std::move(doc)};
}

/// A section, a layer, an optimizer, …: everything that may be written under one name.
struct Schema {
  std::string name;
  std::string doc;
  std::vector<Field> fields;
  std::string shorthand;  ///< the field that a bare scalar sets: `- linear: 10`; empty: none

  const Field* find(std::string_view field_name) const {
    for (const Field& field : fields) {
      if (field.name == field_name) return &field;
    }
    return nullptr;
  }
  /// All defaults. Fields without one are left out.
  Attributes defaults() const {
    Attributes values;
    for (const Field& field : fields) {
      if (field.default_value) values.set(field.name, *field.default_value);
    }
    return values;
  }
};

}  // namespace athanor
