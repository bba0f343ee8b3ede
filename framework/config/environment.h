// `${NAME}` in a recipe's values.
#pragma once

#include <string>
#include <string_view>

#include "config/document.h"
#include "config/problems.h"

namespace athanor {

/// The scalar's text with every `${NAME}` replaced (once: values are not expanded again). A variable that is not set is
/// a problem, except ATHANOR_DATA: its place holder stays, because a recipe can be planned without its data and the
/// data room knows where to look instead.
std::string expand_environment(const YamlNode& scalar, std::string_view path, Problems& problems);

}  // namespace athanor
