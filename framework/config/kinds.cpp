#include "config/kinds.h"

namespace athanor {

std::string_view word_of(std::string_view kind) {
  if (kind == "data") return "data set";
  if (kind == "augment") return "augmentation";
  return kind;
}

std::string one_of_kind(std::string_view kind) {
  const std::string_view word = word_of(kind);
  const bool begins_with_vowel = !word.empty() && std::string_view("aeiou").find(word.front()) != word.npos;
  return (begins_with_vowel ? "an " : "a ") + std::string(word);
}

}  // namespace athanor
