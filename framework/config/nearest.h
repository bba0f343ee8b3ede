// The valid name that a mistyped one most likely means.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace athanor {

/// Edits (insert, delete, replace, swap of neighbours; Damerau 1964, each place edited once) between two names, without
/// regard to case and with '-' read as '_'.
std::size_t edit_distance(std::string_view a, std::string_view b);

/// The closest of `valid`: at most a third of the longer name edited (one edit is always allowed), or one name the
/// beginning of the other ("lrate" for "lr"). None when nothing is that close.
std::optional<std::string> nearest(std::string_view name, std::span<const std::string> valid);

/// The end of a message: "; did you mean 'lr'? (valid: lr, momentum)", without the question when nothing is close.
std::string suggestion(std::string_view name, std::span<const std::string> valid);

}  // namespace athanor
