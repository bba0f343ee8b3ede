// athanor inspect FILE.h5 [--tensors] [--json]: what a checkpoint holds, and whether it verifies.
#include <fmt/format.h>

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/tilde.h"
#include "io/checkpoint_file.h"
#include "launcher/command.h"
#include "launcher/output.h"
#include "launcher/ranks.h"
#include "train/text_table.h"
#include "train/units_text.h"

namespace athanor {
namespace {

using Json = nlohmann::ordered_json;

struct InspectArguments {
  std::string file;
  bool tensors = false;
  bool json = false;
};

/// The tensors of one group, together.
struct GroupSize {
  std::string name;
  std::int64_t tensors = 0;
  std::int64_t values = 0;

  std::uint64_t bytes() const { return static_cast<std::uint64_t>(values) * sizeof(float); }
};

/// In the order of the file.
std::vector<GroupSize> group_sizes(const CheckpointContents& contents) {
  std::vector<GroupSize> groups;
  for (const CheckpointTensor& tensor : contents.tensors) {
    if (groups.empty() || groups.back().name != tensor.group) groups.push_back({tensor.group});
    ++groups.back().tensors;
    groups.back().values += tensor.shape.elements();
  }
  return groups;
}

std::string groups_text(const std::vector<GroupSize>& groups) {
  TextTable table({"group", "tensors", "values", "size"}, {1, 2, 3});
  GroupSize all{"all"};
  for (const GroupSize& group : groups) {
    table.add({group.name, count_text(group.tensors), count_text(group.values), bytes_text(group.bytes())});
    all.tensors += group.tensors;
    all.values += group.values;
  }
  table.add_rule();
  table.add({all.name, count_text(all.tensors), count_text(all.values), bytes_text(all.bytes())});
  return table.text();
}

std::string tensors_text(const CheckpointContents& contents) {
  TextTable table({"tensor", "shape", "values"}, {2});
  for (const CheckpointTensor& tensor : contents.tensors) {
    table.add({tensor.group + '/' + tensor.name, tensor.shape.text(), count_text(tensor.shape.elements())});
  }
  return table.text();
}

/// With every line but the first moved in, so that a text of many lines is seen to be one value.
std::string indented(const std::string& text) {
  std::string result;
  for (const char each : text) {
    result += each;
    if (each == '\n') result += "    ";
  }
  return result;
}

void print_text(const InspectArguments& arguments, const CheckpointContents& contents, std::uint64_t bytes) {
  fmt::print("{}: verified, {}\nstep {}, epoch {}, {}\n\n", arguments.file, bytes_text(bytes),
             count_text(contents.step), contents.epoch, plural(contents.samples, "sample"));
  fmt::print("{}\n", groups_text(group_sizes(contents)));
  if (arguments.tensors) fmt::print("{}\n", tensors_text(contents));
  for (const auto& [name, value] : contents.numbers) fmt::print("{} = {}\n", name, value);
  for (const auto& [name, value] : contents.reals) fmt::print("{} = {}\n", name, value);
  for (const auto& [name, text] : contents.attributes) fmt::print("{} = {}\n", name, indented(text));
  fmt::print("\nrecipe\n{}", contents.recipe_text);
  if (!contents.recipe_text.ends_with('\n')) fmt::print("\n");
}

/// JSON has no word for what is not finite.
Json real_json(double value) {
  if (std::isfinite(value)) return value;
  return fmt::format("{}", value);
}

std::string json_of(const InspectArguments& arguments, const CheckpointContents& contents, std::uint64_t bytes) {
  Json json{{"checkpoint", arguments.file},
            {"verified", true},
            {"bytes", bytes},
            {"step", contents.step},
            {"epoch", contents.epoch},
            {"samples", contents.samples},
            {"groups", Json::object()},
            {"numbers", Json::object()},
            {"reals", Json::object()},
            {"about", Json::object()},
            {"recipe", contents.recipe_text}};
  for (const GroupSize& group : group_sizes(contents)) {
    json["groups"][group.name] = {{"tensors", group.tensors}, {"values", group.values}, {"bytes", group.bytes()}};
  }
  for (const auto& [name, value] : contents.numbers) json["numbers"][name] = value;
  for (const auto& [name, value] : contents.reals) json["reals"][name] = real_json(value);
  for (const auto& [name, text] : contents.attributes) json["about"][name] = text;
  if (arguments.tensors) {
    json["tensors"] = Json::array();
    for (const CheckpointTensor& tensor : contents.tensors) {
      json["tensors"].push_back(
          {{"group", tensor.group},
           {"name", tensor.name},
           {"shape", std::vector<std::int64_t>(tensor.shape.extents().begin(), tensor.shape.extents().end())}});
    }
  }
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

void run_inspect(const InspectArguments& arguments) {
  std::error_code ignored;
  if (!std::filesystem::exists(arguments.file, ignored)) {
    throw UsageError("cannot read {}: there is no such checkpoint file{}", arguments.file, tilde_hint(arguments.file));
  }
  const CheckpointContents contents = read_checkpoint(arguments.file);
  const std::uint64_t bytes = std::filesystem::file_size(arguments.file);
  if (arguments.json)
    print_json(json_of(arguments, contents, bytes));
  else
    print_text(arguments, contents, bytes);
}

void add_inspect(CLI::App& program, int&) {
  auto arguments = std::make_shared<InspectArguments>();
  CLI::App* command = program.add_subcommand("inspect", "Verifies a checkpoint and prints what it holds");
  command->add_option("FILE", arguments->file, "Checkpoint file (runs/NAME/checkpoints/step-*.h5)")->required();
  command->add_flag("--tensors", arguments->tensors, "List every tensor");
  command->add_flag("--json", arguments->json, "Print one JSON object instead");
  command->callback([arguments] { run_on_first_rank("inspect", [&](Communicator&) { run_inspect(*arguments); }); });
}

const RegisterCommand kInspect{5, add_inspect};

}  // namespace
}  // namespace athanor
