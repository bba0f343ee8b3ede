#include "config/field_value.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "config/environment.h"
#include "config/nearest.h"

namespace athanor {
namespace {

std::string_view without_plus(std::string_view text) {
  const bool plus = text.size() > 1 && text[0] == '+' && text[1] != '-' && text[1] != '+';
  return plus ? text.substr(1) : text;
}

/// A bound as a person would write it: "1", not "1.0".
std::string bound_text(double bound) {
  return fmt::format("{}", bound);
}

std::string element_text(const Field& field) {
  switch (field.type) {
    case FieldType::boolean:
      return "true or false";
    case FieldType::integer:
      return "an integer";
    case FieldType::real:
      return "a finite number";
    case FieldType::integers:
      return "integers";
    case FieldType::reals:
      return "finite numbers";
    case FieldType::texts:
      return "texts";
    case FieldType::layers:
      return "a list of layers";
    case FieldType::text:
      break;
  }
  return field.choices.empty() ? "text" : fmt::format("one of {}", fmt::join(field.choices, ", "));
}

bool is_list(const Field& field) {
  return field.type == FieldType::integers || field.type == FieldType::reals || field.type == FieldType::texts;
}

/// Reads nodes for one field and notes what is wrong with them.
struct Reader {
  const Field& field;
  Problems& problems;

  void refuse(const YamlNode& node, std::string_view path) const {
    const std::string hint = node.quoted && field.type != FieldType::text ? "; remove the quotes" : "";
    problems.add(node.place, path, fmt::format("wanted {}, found {}{}", wanted_text(field), found_text(node), hint));
  }

  std::optional<double> checked(const YamlNode& node, std::optional<double> number, std::string_view path) const {
    if (node.quoted || !number || !field.in_range(*number)) return refuse(node, path), std::nullopt;
    return number;
  }

  std::optional<AttributeValue> boolean(const YamlNode& node, std::string_view path) const {
    const std::optional<bool> value = parse_boolean(node.text);
    if (node.quoted || !value) return refuse(node, path), std::nullopt;
    return *value;
  }

  std::optional<AttributeValue> integer(const YamlNode& node, std::string_view path) const {
    const std::optional<std::int64_t> value = parse_integer(node.text);
    const auto number = value ? std::optional<double>(static_cast<double>(*value)) : std::nullopt;
    if (!checked(node, number, path)) return std::nullopt;
    return *value;
  }

  std::optional<AttributeValue> real(const YamlNode& node, std::string_view path) const {
    const std::optional<double> value = checked(node, parse_real(node.text), path);
    if (!value) return std::nullopt;
    return *value;
  }

  std::optional<AttributeValue> text(const YamlNode& node, std::string_view path) const {
    const auto& choices = field.choices;
    if (choices.empty() || std::find(choices.begin(), choices.end(), node.text) != choices.end()) return node.text;
    problems.add(node.place, path, fmt::format("unknown value '{}'{}", node.text, suggestion(node.text, choices)));
    return std::nullopt;
  }

  std::optional<AttributeValue> element(const YamlNode& node, std::string_view path) const {
    if (!node.is_scalar()) return refuse(node, path), std::nullopt;
    YamlNode expanded = node;
    if (node.text.find("${") != std::string::npos) expanded.text = expand_environment(node, path, problems);
    switch (field.type) {
      case FieldType::boolean:
        return boolean(expanded, path);
      case FieldType::integer:
      case FieldType::integers:
        return integer(expanded, path);
      case FieldType::real:
      case FieldType::reals:
        return real(expanded, path);
      case FieldType::text:
      case FieldType::texts:
        return text(expanded, path);
      case FieldType::layers:
        break;
    }
    ATHANOR_CHECK(false, "field '{}' holds layers, not a value", field.name);
    return std::nullopt;
  }

  /// A list; a bare scalar is a list of one.
  template <typename T>
  std::optional<AttributeValue> list(const YamlNode& node, std::string_view path) const {
    if (!node.is_sequence() && !node.is_scalar()) return refuse(node, path), std::nullopt;
    const std::size_t count = node.is_sequence() ? node.items.size() : 1;
    std::vector<T> values;
    for (std::size_t i = 0; i < count; ++i) {
      const YamlNode& item = node.is_sequence() ? node.items[i] : node;
      const std::string item_path = node.is_sequence() ? join_path(path, std::to_string(i)) : std::string(path);
      if (const auto value = element(item, item_path)) values.push_back(std::get<T>(*value));
    }
    if (values.size() != count) return std::nullopt;
    const auto& lengths = field.lengths;
    if (lengths.empty() || std::find(lengths.begin(), lengths.end(), count) != lengths.end()) return values;
    refuse(node, path);
    return std::nullopt;
  }
};

}  // namespace

std::optional<bool> parse_boolean(std::string_view text) {
  if (text == "true" || text == "True" || text == "TRUE") return true;
  if (text == "false" || text == "False" || text == "FALSE") return false;
  return std::nullopt;
}

std::optional<std::int64_t> parse_integer(std::string_view text) {
  const std::string_view digits = without_plus(text);
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return value;
}

std::optional<double> parse_real(std::string_view text) {
  const std::string_view digits = without_plus(text);
  double value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc() || end != digits.data() + digits.size() || !std::isfinite(value)) return std::nullopt;
  return value;
}

std::string range_text(const Field& field) {
  const bool low = std::isfinite(field.minimum);
  const bool high = std::isfinite(field.maximum);
  const std::string minimum = bound_text(field.minimum);
  const std::string maximum = bound_text(field.maximum);
  if (low && high && !field.open_minimum && !field.open_maximum) return fmt::format("from {} to {}", minimum, maximum);
  std::string range;
  if (low) range = fmt::format("{} {}", field.open_minimum ? "above" : "at least", minimum);
  if (low && high) range += " and ";
  if (high) range += fmt::format("{} {}", field.open_maximum ? "below" : "at most", maximum);
  return range;
}

std::string wanted_text(const Field& field) {
  std::string wanted = element_text(field);
  if (is_list(field)) {
    const std::string count = field.lengths.empty() ? "" : fmt::format("{} ", fmt::join(field.lengths, " or "));
    const std::string choices =
        field.choices.empty() ? "" : fmt::format(", each one of {}", fmt::join(field.choices, ", "));
    wanted = fmt::format("a list of {}{}{}", count, wanted, choices);
  }
  const std::string range = range_text(field);
  return range.empty() ? wanted : fmt::format("{}, {}", wanted, range);
}

std::optional<AttributeValue> read_value(const YamlNode& node, const Field& field, std::string_view path,
                                         Problems& problems) {
  const Reader reader{field, problems};
  switch (field.type) {
    case FieldType::integers:
      return reader.list<std::int64_t>(node, path);
    case FieldType::reals:
      return reader.list<double>(node, path);
    case FieldType::texts:
      return reader.list<std::string>(node, path);
    default:
      return reader.element(node, path);
  }
}

}  // namespace athanor
