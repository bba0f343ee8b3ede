// Where something was written in a recipe, so that every error can name the place.
#pragma once

#include <fmt/format.h>

#include <string>

namespace athanor {

/// A place in a text file; lines and columns count from 1, 0 means "not from a file".
struct Location {
  std::string file;
  int line = 0;
  int column = 0;

  /// "configs/mnist/alchemy.yaml:12:5", "the command line", or "" when unknown.
  std::string text() const {
    if (line == 0) return file;
    return fmt::format("{}:{}:{}", file, line, column);
  }
};

}  // namespace athanor
