// A path that begins with '~' and that no shell has expanded.
#pragma once

#include <string>
#include <string_view>

namespace athanor {

/// The end of a message about a path that does not exist: that '~' is not expanded here; "" for other paths.
inline std::string tilde_hint(std::string_view path) {
  return path.starts_with('~') ? "; '~' is not expanded here, write ${HOME} instead" : "";
}

}  // namespace athanor
