#include "config/registry.h"

#include <fmt/ranges.h>

#include <map>

#include "config/complete_attributes.h"

namespace athanor {
namespace {

using Table = std::map<std::string, std::map<std::string, Schema, std::less<>>, std::less<>>;

Table& table() {
  static Table schemas;
  return schemas;
}

}  // namespace

RegisterSchema::RegisterSchema(std::string_view kind, Schema schema) {
  auto& of_kind = table()[std::string(kind)];
  std::string name = schema.name;
  ATHANOR_CHECK(of_kind.emplace(name, std::move(schema)).second, "{} '{}' is registered twice", kind, name);
}

const Schema* find_schema(std::string_view kind, std::string_view name) {
  const auto of_kind = table().find(kind);
  if (of_kind == table().end()) return nullptr;
  const auto found = of_kind->second.find(name);
  return found == of_kind->second.end() ? nullptr : &found->second;
}

std::vector<const Schema*> schemas_of(std::string_view kind) {
  std::vector<const Schema*> found;
  if (const auto of_kind = table().find(kind); of_kind != table().end()) {
    for (const auto& [name, schema] : of_kind->second) found.push_back(&schema);
  }
  return found;
}

Attributes complete(std::string_view kind, std::string_view name, const Attributes& given) {
  const Schema* schema = find_schema(kind, name);
  if (schema == nullptr) {
    std::vector<std::string> names;
    for (const Schema* known : schemas_of(kind)) names.push_back(known->name);
    throw UsageError("unknown {} '{}'; choose one of {}", kind, name, fmt::join(names, ", "));
  }
  Attributes values = given;
  const std::string problem = complete_attributes(schema->fields, values);
  if (!problem.empty()) throw UsageError("{} {}: {}", kind, name, problem);
  return values;
}

}  // namespace athanor
