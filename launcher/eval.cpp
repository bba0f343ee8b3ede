// athanor eval RUN|FILE.h5 [--split test|train|validation] [KEY=VALUE …] [--json]: loss and accuracy of a checkpoint,
// every sample counted once.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "backend/backend.h"
#include "base/error.h"
#include "base/tilde.h"
#include "data/loader.h"
#include "io/checkpoint_file.h"
#include "launcher/command.h"
#include "launcher/output.h"
#include "train/evaluator.h"
#include "train/run_folder.h"
#include "train/session.h"
#include "train/units_text.h"

namespace athanor {
namespace {

namespace fs = std::filesystem;

struct EvalArguments {
  std::string target;
  std::vector<std::string> overrides;
  std::string split = "test";
  bool json = false;
};

struct OpenedCheckpoint {
  fs::path path;
  CheckpointContents contents;
};

/// The file itself, or the newest of a run folder that verifies; those that do not are named on standard error.
OpenedCheckpoint open_checkpoint(const fs::path& target) {
  std::error_code ignored;
  if (!fs::exists(target, ignored)) {
    throw UsageError("cannot read {}: there is no such run folder or checkpoint file{}", target.string(),
                     tilde_hint(target.string()));
  }
  if (!fs::is_directory(target, ignored)) return {target, read_checkpoint(target)};
  for (const fs::path& path : list_checkpoints(target)) {
    try {
      return {path, read_checkpoint(path)};
    } catch (const StorageError& error) {
      fmt::print(stderr, "athanor: left out: {}\n", error.what());
    }
  }
  throw StorageError(
      "{} holds no checkpoint that verifies in checkpoints/step-*.h5; is it a run folder, and did the run "
      "get far enough to save?",
      target.string());
}

/// The samples of a split: a data set, and which of it (empty: all).
struct SplitData {
  std::unique_ptr<Dataset> set;
  std::vector<std::int64_t> subset;
};

SplitData open_split(const Recipe& recipe, const std::string& split) {
  if (split == "test") {
    return {open_dataset(recipe.data.set.name, recipe.data.set.attributes, Split::test), {}};
  }
  if (split == "validation" && recipe.data.validation == 0) {
    throw UsageError("--split validation: data.validation is 0, this run held no images out; use test or train");
  }
  RunData data = open_data(recipe);
  return {std::move(data.train), split == "train" ? data.train_subset : data.validation_subset};
}

std::map<std::string, const CheckpointTensor*> tensors_by_name(const CheckpointContents& contents, bool averaged) {
  std::map<std::string, const CheckpointTensor*> tensors;
  for (const CheckpointTensor& tensor : contents.tensors) {
    const bool wanted =
        averaged ? tensor.group == "average" : tensor.group == "parameters" || tensor.group == "statistics";
    if (wanted) tensors[tensor.name] = &tensor;
  }
  return tensors;
}

/// Writes the checkpoint's tensors. Throws UsageError that lists the first differences where it is another network's.
void load_state(Executable& executable, const OpenedCheckpoint& checkpoint, bool averaged) {
  std::map<std::string, const CheckpointTensor*> tensors = tensors_by_name(checkpoint.contents, averaged);
  std::vector<std::string> differences;
  for (const StateEntry& entry : executable.list_state()) {
    const auto found = tensors.find(entry.name);
    if (found == tensors.end()) {
      differences.push_back(fmt::format("{} {} is not in the file", entry.name, entry.shape.text()));
      continue;
    }
    if (found->second->shape == entry.shape) {
      executable.write_state(entry, found->second->values);
    } else {
      differences.push_back(fmt::format("{} is {} in the file, {} in the network", entry.name,
                                        found->second->shape.text(), entry.shape.text()));
    }
    tensors.erase(found);
  }
  for (const auto& [name, tensor] : tensors) differences.push_back(fmt::format("{} is only in the file", name));
  if (differences.empty()) return;
  constexpr std::size_t kShown = 5;
  std::string message = fmt::format(
      "{} is not a checkpoint of this network ({} differences); evaluate it without "
      "overrides of model",
      checkpoint.path.string(), differences.size());
  for (std::size_t i = 0; i < std::min(kShown, differences.size()); ++i) message += "\n  " + differences[i];
  throw UsageError(message);
}

void want_memory(const Backend& backend, const ExecutableOptions& options, std::size_t available) {
  const std::size_t total = backend.plan_memory(options).total();
  if (total <= available) return;
  throw DeviceError("evaluation needs {}, this process may use {}; use a smaller eval.batch", bytes_text(total),
                    bytes_text(available));
}

Evaluation evaluate_checkpoint(const OpenedCheckpoint& checkpoint, const Recipe& recipe, const std::string& split,
                               bool averaged) {
  const SplitData data = open_split(recipe, split);
  const Backend& backend = backend_for(recipe.device);
  const Hardware hardware = probe_hardware();
  const std::unique_ptr<Communicator> communicator = make_self_communicator();
  // As the run was cut, so that the same kernels see the same rows.
  const Sizing sizing = cut_batches(recipe, hardware, *communicator);
  // Planned beside training, which is not run: weights then have the layouts, and so the sums, that the run had.
  const Plans plans = make_plans(recipe, model_of(recipe), data.set->info(), sizing);
  const ExecutableOptions options{.training = nullptr,
                                  .evaluation = &plans.evaluation,
                                  .shards = sizing.local,
                                  .lanes = sizing.lanes,
                                  .seed = recipe.train.seed,
                                  .communicator = communicator.get()};
  want_memory(backend, options, available_bytes(backend, hardware, *communicator));
  const std::unique_ptr<Executable> executable = backend.make_executable(options);
  load_state(*executable, checkpoint, averaged);
  LoaderOptions loading;
  loading.mode = LoaderMode::evaluate;
  loading.batch = sizing.evaluation_rows;
  loading.subset = data.subset;
  loading.depth = kEvaluationDepth;
  Loader loader(*data.set, loading);
  return evaluate(*executable, loader, *communicator, class_weights_of(recipe.loss.attributes), false);
}

std::string json_of(const OpenedCheckpoint& checkpoint, const std::string& split, bool averaged,
                    const Evaluation& result) {
  const nlohmann::ordered_json json{{"checkpoint", checkpoint.path.string()},
                                    {"step", checkpoint.contents.step},
                                    {"epoch", checkpoint.contents.epoch},
                                    {"split", split},
                                    {"averaged", averaged},
                                    {"loss", result.loss},
                                    {"accuracy", result.accuracy},
                                    {"top5", result.top5},
                                    {"samples", result.samples}};
  return json.dump();
}

void run_eval(const EvalArguments& arguments) {
  const OpenedCheckpoint checkpoint = open_checkpoint(arguments.target);
  const CheckpointContents& contents = checkpoint.contents;
  const Recipe recipe = parse_recipe(contents.recipe_text, checkpoint.path.string(), arguments.overrides);
  const bool averaged = std::any_of(contents.tensors.begin(), contents.tensors.end(),
                                    [](const CheckpointTensor& tensor) { return tensor.group == "average"; });
  std::FILE* text = arguments.json ? stderr : stdout;
  fmt::print(text, "{}: step {}, epoch {}{}\n", checkpoint.path.string(), count_text(contents.step), contents.epoch,
             averaged ? ", averaged weights" : "");
  std::fflush(text);
  const Evaluation result = evaluate_checkpoint(checkpoint, recipe, arguments.split, averaged);
  fmt::print(text, "{} of {}: {}, loss {}, accuracy {:.4f} %, top-5 {:.4f} %\n", arguments.split, recipe.data.set.name,
             plural(result.samples, "sample"),
             std::isfinite(result.loss) ? fmt::format("{:.6g}", result.loss) : "not finite", 100 * result.accuracy,
             100 * result.top5);
  if (arguments.json) print_json(json_of(checkpoint, arguments.split, averaged, result));
}

void add_eval(CLI::App& program, int&) {
  auto arguments = std::make_shared<EvalArguments>();
  CLI::App* command = program.add_subcommand("eval", "Prints the exact loss and accuracy of a checkpoint");
  command->add_option("RUN|FILE", arguments->target, "Run folder (its newest checkpoint) or checkpoint file")
      ->required();
  command->add_option("KEY=VALUE", arguments->overrides, "Settings that replace the recipe's: data.path=DIR");
  command->add_option("--split", arguments->split, "Samples to evaluate on")
      ->check(CLI::IsMember({"test", "train", "validation"}));
  command->add_flag("--json", arguments->json, "Print one JSON object on standard output");
  command->callback([arguments] { run_eval(*arguments); });
}

const RegisterCommand kEval{2, add_eval};

}  // namespace
}  // namespace athanor
