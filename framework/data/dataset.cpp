#include "data/dataset.h"

#include <map>

#include <fmt/ranges.h>

#include "base/error.h"
#include "config/registry.h"

namespace athanor {
namespace {

struct Registered {
  DatasetFactory open;
  DatasetDescription describe;
};

using DatasetTable = std::map<std::string, Registered, std::less<>>;

DatasetTable& datasets() {
  static DatasetTable table;
  return table;
}

const Registered& dataset_named(std::string_view name) {
  const auto found = datasets().find(name);
  if (found != datasets().end()) return found->second;
  std::vector<std::string_view> names;
  for (const auto& [known, dataset] : datasets()) names.push_back(known);
  throw UsageError("unknown data set '{}'; there are {}", name, fmt::join(names, ", "));
}

Attributes with_defaults(std::string_view name, const Attributes& settings) {
  Attributes filled = find_schema("data", name)->defaults();
  for (const auto& [key, value] : settings.entries()) filled.set(key, value);
  return filled;
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

std::vector<SourceFile> Dataset::files() const {
  const std::shared_ptr<const SourceFiles> files = source_files();
  return files ? files->list() : std::vector<SourceFile>{};
}

std::vector<std::int32_t> Dataset::labels() const {
  std::vector<std::int32_t> all(static_cast<std::size_t>(size()));
  for (std::int64_t i = 0; i < size(); ++i) all[static_cast<std::size_t>(i)] = label(i);
  return all;
}

RegisterDataset::RegisterDataset(Schema schema, DatasetFactory factory, DatasetDescription description) {
  datasets().emplace(schema.name, Registered{factory, description});
  RegisterSchema("data", std::move(schema));
}

std::unique_ptr<Dataset> open_dataset(std::string_view name, const Attributes& settings, Split split) {
  const Registered& dataset = dataset_named(name);
  return dataset.open(with_defaults(name, settings), split);
}

std::optional<DatasetInfo> describe_dataset(std::string_view name, const Attributes& settings) {
  const Registered& dataset = dataset_named(name);
  if (dataset.describe == nullptr) return std::nullopt;
  return dataset.describe(with_defaults(name, settings));
}

}  // namespace athanor
