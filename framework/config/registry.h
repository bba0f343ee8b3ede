// Where the rooms register the schemas of what a recipe can name: layers, models, optimizers, data sets, … The strict
// reader, the error messages (nearest valid name) and docs/recipe.md all walk this one table.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "config/schema.h"

namespace athanor {

/// Registers a schema of a kind ("layer", "model", "data", "augment", "loss", "optimizer", "schedule", "section") from
/// a namespace-scope object: `const RegisterSchema kSgd{"optimizer", {...}};`. A name registered twice aborts.
struct RegisterSchema {
  RegisterSchema(std::string_view kind, Schema schema);
};

/// The schema of a name, or nullptr.
const Schema* find_schema(std::string_view kind, std::string_view name);
/// All schemas of a kind, sorted by name.
std::vector<const Schema*> schemas_of(std::string_view kind);
/// `given` with the schema's defaults for what it leaves out. Throws UsageError for an unknown name, and for what
/// complete_attributes finds wrong.
Attributes complete(std::string_view kind, std::string_view name, const Attributes& given);

}  // namespace athanor
