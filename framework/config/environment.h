// `${NAME}` in a recipe's values.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "config/document.h"
#include "config/problems.h"

namespace athanor {

/// Where data sets lie when ATHANOR_DATA is not set, seen from the working directory.
inline constexpr const char* kDefaultDataFolder = "../shared/data";

/// An environment variable. ATHANOR_DATA falls back to `kDefaultDataFolder` where that exists.
std::optional<std::string> environment_value(const std::string& name);

/// The scalar's text with every `${NAME}` replaced (once: values are not expanded again). A variable that is not set is
/// a problem, except ATHANOR_DATA: its place holder stays, because a recipe can be planned without its data. The data
/// room calls `require_expanded` before it opens a file.
std::string expand_environment(const Node& scalar, std::string_view path, Problems& problems);

/// Throws DataError that says what to set when `path` still begins with `${ATHANOR_DATA}`.
void require_expanded(std::string_view path);

}  // namespace athanor
