// How the supervisor speaks to people.
#pragma once

#include <fmt/format.h>

#include <string>

namespace athanor {

/// A line on standard error.
inline void say(const std::string& text) {
  fmt::print(stderr, "athanor launch: {}\n", text);
}

}  // namespace athanor
