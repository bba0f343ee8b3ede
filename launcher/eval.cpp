// athanor eval RUN|FILE.h5 [--split test|train|validation] [KEY=VALUE …] [--json]: loss and accuracy of a checkpoint,
// every sample counted once.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "backend/backend.h"
#include "base/error.h"
#include "base/print.h"
#include "base/tilde.h"
#include "data/loader.h"
#include "io/checkpoint_file.h"
#include "launcher/command.h"
#include "launcher/output.h"
#include "launcher/ranks.h"
#include "train/core_share.h"
#include "train/evaluator.h"
#include "train/phases.h"
#include "train/rank_agreement.h"
#include "train/resume.h"
#include "train/run_folder.h"
#include "train/session.h"
#include "train/stored_run.h"
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
      print_or_lose(stderr, "athanor: left out: {}\n", error.what());
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

  std::int64_t size() const { return subset.empty() ? set->size() : static_cast<std::int64_t>(subset.size()); }
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

void want_memory(const Backend& backend, const ExecutableOptions& options, std::size_t available) {
  const std::size_t total = backend.plan_memory(options).total();
  if (total <= available) return;
  throw DeviceError("evaluation needs {}, this process may use {}; use a smaller eval.batch", bytes_text(total),
                    bytes_text(available));
}

/// This rank's part of an evaluation, in phases on which all agree.
class CheckpointEvaluation {
 public:
  CheckpointEvaluation(const StoredRun& stored, const Recipe& recipe, Communicator& communicator)
      : stored_(stored),
        recipe_(recipe),
        communicator_(communicator),
        is_idle_(communicator.rank() >= working_ranks()) {}

  Evaluation run(const std::string& split, bool averaged) {
    use_common_isa(communicator_, recipe_.train.deterministic);
    Hardware hardware = probe_hardware();
    share_cores(hardware, communicator_);
    agree_on(communicator_, "data", [&] { data_ = open_split(recipe_, split); });
    const Backend& backend = backend_for(recipe_.device);
    adopt_measured_choices(backend, stored_);
    plan_alike(communicator_, backend, [&] { plan(hardware); });
    want_same_plans(communicator_, plans_.training, plans_.evaluation);
    const std::unique_ptr<Executable> executable = backend_for(recipe_.device).make_executable(options());
    restore_weights(*executable, communicator_, stored_, averaged);
    if (is_idle_) {
      evaluate_nothing(communicator_, data_.size());
      return {};
    }
    Loader loader(*data_.set, loading());
    return evaluate(*executable, loader, communicator_, class_weights_of(recipe_.loss.attributes), false);
  }

 private:
  /// Any number of ranks may evaluate; those for whom there is no shard look on.
  int working_ranks() const {
    return static_cast<int>(
        std::min<std::int64_t>(communicator_.size(), std::max<std::int64_t>(1, recipe_.train.shards)));
  }

  void plan(const Hardware& hardware) {
    // As the run was cut, so that the same kernels see the same rows.
    sizing_ = cut_batches(recipe_, hardware, is_idle_ ? 0 : communicator_.rank(), working_ranks());
    // Planned beside training, which is not run: weights then have the layouts, and so the sums, that the run had.
    plans_ = make_plans(recipe_, model_of(recipe_), data_.set->info(), sizing_);
    const Backend& backend = backend_for(recipe_.device);
    want_memory(backend, options(), available_bytes(backend, hardware, communicator_));
  }

  ExecutableOptions options() const {
    return {.training = nullptr,
            .evaluation = &plans_.evaluation,
            .shards = sizing_.local,
            .lanes = sizing_.lanes,
            .seed = recipe_.train.seed,
            .communicator = &communicator_};
  }

  LoaderOptions loading() const {
    const std::int64_t rows = sizing_.evaluation_rows / sizing_.shards;
    LoaderOptions loading;
    loading.mode = LoaderMode::evaluate;
    loading.batch = sizing_.evaluation_rows;
    loading.first_row = sizing_.local.first * rows;
    loading.last_row = sizing_.local.last * rows;
    loading.subset = data_.subset;
    loading.depth = kEvaluationDepth;
    return loading;
  }

  const StoredRun& stored_;
  const Recipe& recipe_;
  Communicator& communicator_;
  const bool is_idle_;
  SplitData data_;
  Sizing sizing_;
  Plans plans_;
};

std::string json_of(const StoredRun& stored, const std::string& split, bool averaged, const Evaluation& result) {
  const nlohmann::ordered_json json{{"checkpoint", stored.path()},  {"step", stored.meta().step},
                                    {"epoch", stored.meta().epoch}, {"split", split},
                                    {"averaged", averaged},         {"loss", result.loss},
                                    {"accuracy", result.accuracy},  {"top5", result.top5},
                                    {"samples", result.samples}};
  return json.dump();
}

/// Rank 0 reads the file and tells the others.
StoredRun share_checkpoint(const fs::path& target, Communicator& communicator) {
  OpenedCheckpoint opened;
  agree_on(communicator, "checkpoint", [&] {
    if (communicator.rank() == 0) opened = open_checkpoint(target);
  });
  return *StoredRun::share(communicator, opened.path, std::move(opened.contents));
}

void run_eval(const EvalArguments& arguments, Communicator& communicator) {
  const StoredRun stored = share_checkpoint(arguments.target, communicator);
  Recipe recipe;
  agree_on(communicator, "recipe",
           [&] { recipe = parse_recipe(stored.meta().recipe_text, stored.path(), arguments.overrides); });
  want_same_recipe(communicator, recipe);
  const bool averaged = std::any_of(stored.tensors().begin(), stored.tensors().end(),
                                    [](const StoredTensor& tensor) { return tensor.group == "average"; });
  std::FILE* text = arguments.json ? stderr : stdout;
  if (is_first_rank()) {
    print_or_lose(text, "{}: step {}, epoch {}{}\n", stored.path(), count_text(stored.meta().step), stored.meta().epoch,
                  averaged ? ", averaged weights" : "");
    std::fflush(text);
  }
  const Evaluation result = CheckpointEvaluation(stored, recipe, communicator).run(arguments.split, averaged);
  if (!is_first_rank()) return;
  print_or_lose(text, "{} of {}: {}, loss {}, accuracy {:.4f} %, top-5 {:.4f} %\n", arguments.split,
                recipe.data.set.name, plural(result.samples, "sample"),
                std::isfinite(result.loss) ? fmt::format("{:.6g}", result.loss) : "not finite", 100 * result.accuracy,
                100 * result.top5);
  if (arguments.json) print_json(json_of(stored, arguments.split, averaged, result));
}

void add_eval(CLI::App& program, int&) {
  auto arguments = std::make_shared<EvalArguments>();
  CLI::App* command = program.add_subcommand(
      "eval", "Prints the exact loss and accuracy of a checkpoint; alone, under mpirun or under srun");
  command->add_option("RUN|FILE", arguments->target, "Run folder (its newest checkpoint) or checkpoint file")
      ->required();
  command->add_option("KEY=VALUE", arguments->overrides, "Settings that replace the recipe's: data.path=DIR");
  command->add_option("--split", arguments->split, "Samples to evaluate on")
      ->check(CLI::IsMember({"test", "train", "validation"}));
  command->add_flag("--json", arguments->json, "Print one JSON object on standard output");
  command->callback(
      [arguments] { run_on_ranks("eval", [&](Communicator& communicator) { run_eval(*arguments, communicator); }); });
}

const RegisterCommand kEval{2, add_eval};

}  // namespace
}  // namespace athanor
