// Columns for people: as wide as their longest cell, two spaces apart.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace athanor {

class TextTable {
 public:
  /// `right` lists the columns that are aligned to the right: numbers.
  TextTable(std::vector<std::string> header, std::vector<std::size_t> right);

  /// As many cells as the header has.
  void add(std::vector<std::string> cells);
  void add_rule();
  /// Lines, each ended, without spaces at their ends.
  std::string text() const;

 private:
  std::vector<std::size_t> right_;
  std::vector<std::vector<std::string>> rows_;  // the header first; an empty one is a rule
};

/// Columns that UTF-8 text takes on a terminal, one a code point.
std::size_t display_width(const std::string& text);

}  // namespace athanor
