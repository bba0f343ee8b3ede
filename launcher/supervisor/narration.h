// How the supervisor speaks to people.
#pragma once

#include <string>

#include "base/print.h"

namespace athanor {

/// A line on standard error.
inline void say(const std::string& text) {
  print_or_lose(stderr, "athanor launch: {}\n", text);
}

}  // namespace athanor
