// The kinds of the registry as a sentence calls them: "unknown data set 'mnst'", "wanted the name of an optimizer".
#pragma once

#include <string>
#include <string_view>

namespace athanor {

/// "data" gives "data set", "augment" "augmentation"; other kinds are words already.
std::string_view word_of(std::string_view kind);

/// The word with its article: "a data set", "an optimizer".
std::string one_of_kind(std::string_view kind);

}  // namespace athanor
