// Attributes that a program gives, against the fields that say what they may be: the counterpart of validate.h, which
// reads them from a recipe.
#pragma once

#include <string>
#include <vector>

#include "config/attributes.h"
#include "config/schema.h"

namespace athanor {

/// Adds the defaults of fields that are missing. Returns what is wrong, or "": an unknown name, a missing one that has
/// no default, another type, a number outside the range, a text that is no choice, a list of another length.
std::string complete_attributes(const std::vector<Field>& fields, Attributes& attributes);

}  // namespace athanor
