// Printing where what cannot be printed is lost and nothing else is: to a full disk, to a reader that has gone away.
// fmt::print throws then, which would end a run, or the program where a failure is being reported. Whoever must not
// succeed without its output asks the stream in the end (std::ferror).
#pragma once

#include <fmt/format.h>

#include <cstdio>
#include <iterator>
#include <utility>

namespace athanor {

template <typename... Values>
void print_or_lose(std::FILE* out, fmt::format_string<Values...> format, Values&&... values) {
  fmt::memory_buffer text;
  fmt::format_to(std::back_inserter(text), format, std::forward<Values>(values)...);
  // What went wrong stays in the stream, for std::ferror.
  std::fwrite(text.data(), 1, text.size(), out);
}

}  // namespace athanor
