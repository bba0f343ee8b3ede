#include "data/dataset.h"

#include <map>

#include <fmt/ranges.h>

#include "base/error.h"
#include "config/registry.h"

namespace athanor {
namespace {

using FactoryTable = std::map<std::string, DatasetFactory, std::less<>>;

FactoryTable& factories() {
  static FactoryTable table;
  return table;
}

}  // namespace

std::string_view name_of(Split split) {
  return split == Split::train ? "train" : "test";
}

Split split_named(std::string_view name) {
  if (name == "train") return Split::train;
  if (name == "test") return Split::test;
  throw UsageError("unknown split '{}'; the splits are train and test", name);
}

std::vector<std::int32_t> Dataset::labels() const {
  std::vector<std::int32_t> all(static_cast<std::size_t>(size()));
  for (std::int64_t i = 0; i < size(); ++i) all[static_cast<std::size_t>(i)] = label(i);
  return all;
}

RegisterDataset::RegisterDataset(Schema schema, DatasetFactory factory) {
  factories().emplace(schema.name, factory);
  RegisterSchema("data", std::move(schema));
}

std::unique_ptr<Dataset> open_dataset(std::string_view name, const Attributes& settings, Split split) {
  const auto found = factories().find(name);
  if (found == factories().end()) {
    std::vector<std::string_view> names;
    for (const auto& [known, factory] : factories()) names.push_back(known);
    throw UsageError("unknown data set '{}'; there are {}", name, fmt::join(names, ", "));
  }
  Attributes filled = find_schema("data", name)->defaults();
  for (const auto& [key, value] : settings.entries()) filled.set(key, value);
  return found->second(filled, split);
}

}  // namespace athanor
