// Schemas as Markdown, for docs/recipe.md.
#pragma once

#include <string>
#include <string_view>

#include "config/schema.h"

namespace athanor {

/// A heading of `level` with the schema's name, its sentence, and a table of its keys: type, default, allowed, meaning.
std::string markdown_reference(const Schema& schema, int level = 3);

/// All registered schemas of a kind, sorted by name.
std::string markdown_reference(std::string_view kind, int level = 3);

}  // namespace athanor
