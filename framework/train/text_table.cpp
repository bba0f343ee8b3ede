#include "train/text_table.h"

#include <algorithm>

#include "base/error.h"

namespace athanor {

std::size_t display_width(const std::string& text) {
  // Bytes 10xxxxxx continue a code point.
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0u) != 0x80u; }));
}

TextTable::TextTable(std::vector<std::string> header, std::vector<std::size_t> right) : right_(std::move(right)) {
  rows_.push_back(std::move(header));
  add_rule();
}

void TextTable::add(std::vector<std::string> cells) {
  ATHANOR_CHECK(cells.size() == rows_[0].size());
  rows_.push_back(std::move(cells));
}

void TextTable::add_rule() {
  rows_.emplace_back();
}

std::string TextTable::text() const {
  std::vector<std::size_t> widths(rows_[0].size(), 0);
  for (const auto& row : rows_) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], display_width(row[i]));
  }
  std::string text;
  for (const auto& row : rows_) {
    std::string line;
    for (std::size_t i = 0; i < widths.size(); ++i) {
      if (i > 0) line += "  ";
      if (row.empty()) {
        line += std::string(widths[i], '-');
        continue;
      }
      const std::string padding(widths[i] - display_width(row[i]), ' ');
      const bool to_the_right = std::find(right_.begin(), right_.end(), i) != right_.end();
      line += to_the_right ? padding + row[i] : row[i] + padding;
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + '\n';
  }
  return text;
}

}  // namespace athanor
