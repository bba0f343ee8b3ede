// Which names of implementations are those of slow reference code: one rule for planners, tables and tests.
#pragma once

#include <string_view>

namespace athanor {

/// Whether a plan's name for an implementation ("onednn:ref:any") says that it is reference code, up to a thousand
/// times slower than the rest: it has the word "ref", which is what oneDNN calls it. Part of a longer word it says
/// nothing.
bool is_reference_implementation(std::string_view name);

}  // namespace athanor
