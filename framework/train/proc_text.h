// Reading the kernel's text files: /proc and /sys.
#pragma once

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <optional>
#include <string_view>

namespace athanor {

/// The first number in `text`; nothing for "max" and for what cannot be read.
inline std::optional<std::uint64_t> leading_number(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(" \t"), text.size()));
  std::uint64_t value = 0;
  if (std::from_chars(text.data(), text.data() + text.size(), value).ec != std::errc{}) return std::nullopt;
  return value;
}

/// What follows `key` where a line of `text` starts with it.
inline std::optional<std::string_view> after_key(std::string_view text, std::string_view key) {
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    if (line.starts_with(key)) return line.substr(key.size());
    text.remove_prefix(std::min(line.size() + 1, text.size()));
  }
  return std::nullopt;
}

inline std::uint64_t number_after(std::string_view text, std::string_view key, std::uint64_t otherwise) {
  const auto rest = after_key(text, key);
  return rest ? leading_number(*rest).value_or(otherwise) : otherwise;
}

}  // namespace athanor
