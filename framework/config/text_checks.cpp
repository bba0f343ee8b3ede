#include "config/text_checks.h"

#include <cstdint>

namespace athanor {
namespace {

/// Length of the UTF-8 sequence at the front of `text`, or 0 when it is none.
std::size_t utf8_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  const std::uint8_t lead = byte(0);
  if (lead < 0x80) return 1;
  const std::size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  // Overlong forms, surrogates and code points past U+10FFFF.
  if ((lead == 0xE0 && byte(1) < 0xA0) || (lead == 0xED && byte(1) > 0x9F)) return 0;
  if ((lead == 0xF0 && byte(1) < 0x90) || (lead == 0xF4 && byte(1) > 0x8F)) return 0;
  return length;
}

Location place_of(std::string_view text, std::size_t offset, const std::string& file) {
  Location place{file, 1, 1};
  for (std::size_t i = 0; i < offset; ++i) {
    if (text[i] == '\n') {
      ++place.line;
      place.column = 1;
    } else {
      ++place.column;
    }
  }
  return place;
}

bool is_control(char c) {
  const auto byte = static_cast<std::uint8_t>(c);
  return (byte < 0x20 && c != '\n' && c != '\r' && c != '\t') || byte == 0x7F;
}

/// Reports a tab in the white space at the front of a line.
bool check_indentation(std::string_view line, int number, const std::string& file, Problems& problems) {
  const std::size_t first = line.find_first_not_of(" \t\r");
  const std::size_t tab = line.find('\t');
  if (first == std::string_view::npos || line[first] == '#' || tab > first) return true;
  const std::string_view rest = line.substr(first);
  problems.add({file, number, static_cast<int>(tab) + 1},
               fmt::format("a tab in front of '{}'; indent with spaces", rest.substr(0, rest.find_first_of(":\r"))));
  return false;
}

}  // namespace

std::size_t find_invalid_utf8(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t length = utf8_length(text.substr(i));
    if (length == 0) return i;
    i += length;
  }
  return std::string_view::npos;
}

bool check_text(std::string_view text, const std::string& file, Problems& problems) {
  if (const std::size_t bad = find_invalid_utf8(text); bad != std::string_view::npos) {
    problems.add(place_of(text, bad, file), "a byte that is not UTF-8; save the file as UTF-8 text");
    return false;
  }
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (!is_control(text[i])) continue;
    problems.add(place_of(text, i, file),
                 fmt::format("a control character (0x{:02x}); is it a text file?", static_cast<unsigned>(text[i])));
    return false;
  }
  bool good = true;
  int number = 1;
  for (std::size_t start = 0; start < text.size(); ++number) {
    const std::size_t end = std::min(text.find('\n', start), text.size());
    good = check_indentation(text.substr(start, end - start), number, file, problems) && good;
    start = end + 1;
  }
  return good;
}

bool closes_quote(std::string_view text, std::size_t offset) {
  if (offset >= text.size()) return true;
  const char quote = text[offset];
  if (quote != '"' && quote != '\'') return true;
  for (std::size_t i = offset + 1; i < text.size(); ++i) {
    if (quote == '"' && text[i] == '\\') {
      ++i;
    } else if (text[i] == quote) {
      const bool doubled = quote == '\'' && i + 1 < text.size() && text[i + 1] == quote;
      if (!doubled) return true;
      ++i;
    }
  }
  return false;
}

}  // namespace athanor
