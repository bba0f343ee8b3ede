// What is wrong with a recipe's bytes before YAML looks at them: encoding, control characters, tabs as indentation.
#pragma once

#include <string>
#include <string_view>

#include "config/problems.h"

namespace athanor {

/// The offset of the first byte that is not UTF-8 (RFC 3629), or npos.
std::size_t find_invalid_utf8(std::string_view text);

/// Adds a problem for each fault. True when the text may be parsed.
bool check_text(std::string_view text, const std::string& file, Problems& problems);

/// False when a quoted scalar begins at `offset` and the text ends before its closing quote.
bool closes_quote(std::string_view text, std::size_t offset);

}  // namespace athanor
