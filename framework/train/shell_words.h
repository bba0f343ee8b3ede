// Commands as a shell takes them, for "type next".
#pragma once

#include <string>

namespace athanor {

/// The word itself where it holds plain characters only, else in single quotes.
std::string shell_word(const std::string& word);

}  // namespace athanor
