// Everything that is wrong with a recipe, collected so that a user mends it in one go.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/location.h"

namespace athanor {

class Problems {
 public:
  void add(Location place, std::string message) { found_.emplace_back(std::move(place), std::move(message)); }
  /// Names the key in front: "train.batch: wanted …".
  void add(Location place, std::string_view path, std::string_view message);

  bool empty() const { return found_.empty(); }
  std::size_t count() const { return found_.size(); }
  /// One problem a line, "file:line:column: key: message", in the order of the file, repeats left out.
  std::string text() const;
  /// Throws one UsageError with `text()`.
  void throw_if_any() const;

 private:
  std::vector<std::pair<Location, std::string>> found_;
};

}  // namespace athanor
