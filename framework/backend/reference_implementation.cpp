#include "backend/reference_implementation.h"

#include <cctype>

namespace athanor {

bool is_reference_implementation(std::string_view name) {
  constexpr std::string_view kWord = "ref";
  const auto in_word = [&](std::size_t at) {
    return at < name.size() && std::isalnum(static_cast<unsigned char>(name[at])) != 0;
  };
  for (std::size_t at = name.find(kWord); at != std::string_view::npos; at = name.find(kWord, at + 1)) {
    const bool begins = at == 0 || !in_word(at - 1);
    if (begins && !in_word(at + kWord.size())) return true;
  }
  return false;
}

}  // namespace athanor
