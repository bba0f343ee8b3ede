// One value of a recipe against one field of a schema: type, range, choices, length.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "config/document.h"
#include "config/problems.h"
#include "config/schema.h"

namespace athanor {

/// `true` or `false`, also capitalised; nothing else.
std::optional<bool> parse_boolean(std::string_view text);
/// Decimal digits with an optional sign, within 64 bits.
std::optional<std::int64_t> parse_integer(std::string_view text);
/// A decimal number, also an integer or `5e-4`; not NaN, not infinite, not beyond what a double holds.
std::optional<double> parse_real(std::string_view text);

/// "from 0 to 1", "above 0", "at least 0 and below 1", or "" for any.
std::string range_text(const Field& field);
/// "an integer, at least 1", "a list of 1 or 3 numbers", "one of fp32, bf16".
std::string wanted_text(const Field& field);

/// The node as the field's type, with `${NAME}` expanded, or nothing, with a problem added that says what was wanted
/// and what was found. Fields of type `layers` are not read here.
std::optional<AttributeValue> read_value(const YamlNode& node, const Field& field, std::string_view path,
                                         Problems& problems);

}  // namespace athanor
