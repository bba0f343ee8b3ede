// What happens before step 0 and after the last one; the loop itself is in training_run.cpp.
#include "train/trainer.h"

#include <fmt/format.h>
#include <unistd.h>
#include <xxhash.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <new>
#include <sstream>

#include "base/error.h"
#include "base/log.h"
#include "config/emit.h"
#include "graph/op.h"
#include "io/checkpoint_file.h"
#include "train/provenance.h"
#include "train/read_summary.h"
#include "train/run_folder.h"
#include "train/run_log.h"
#include "train/run_screen.h"
#include "train/training_run.h"
#include "train/weights_hash.h"

namespace athanor {
namespace {

/// Since the kernel started the process, so that loading the program counts too. 0 where /proc does not say.
double seconds_since_start() {
  std::ifstream stat("/proc/self/stat"), uptime("/proc/uptime");
  const std::string text{std::istreambuf_iterator<char>(stat), {}};
  const std::size_t name_end = text.rfind(')');
  double now = 0;
  if (name_end == std::string::npos || !(uptime >> now)) return 0;
  std::istringstream fields(text.substr(name_end + 1));
  std::string field;
  for (int i = 0; i < 20; ++i) fields >> field;  // the 22nd field of the line is the start in clock ticks
  return now - std::strtod(field.c_str(), nullptr) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

std::string current_weights_sha256(const Executable& executable) {
  std::vector<NamedTensor> tensors;
  for (const StateEntry& entry : executable.list_state()) {
    if (entry.kind != StateKind::parameter && entry.kind != StateKind::statistic) continue;
    tensors.push_back({entry.name, entry.shape,
                       [&executable, entry](std::span<float> values) { executable.read_state(entry, values); }});
  }
  return weights_sha256(tensors);
}

/// The final weights, for `athanor eval` and for starting other runs from.
void save_weights(const Executable& executable, const Recipe& recipe, const RunFolder& folder, const Summary& summary,
                  const Plan& plan) {
  CheckpointContents contents;
  for (const StateEntry& entry : executable.list_state()) {
    if (entry.kind == StateKind::optimizer) continue;
    const char* group = entry.kind == StateKind::parameter   ? "parameters"
                        : entry.kind == StateKind::statistic ? "statistics"
                                                             : "average";
    CheckpointTensor tensor{group, entry.name, entry.shape,
                            std::vector<float>(static_cast<std::size_t>(entry.shape.elements()))};
    executable.read_state(entry, tensor.values);
    contents.tensors.push_back(std::move(tensor));
  }
  contents.recipe_text = resolved_text(recipe);
  contents.step = summary.steps;
  contents.epoch = summary.epochs;
  contents.samples = summary.samples;
  contents.attributes["plan_fingerprint"] = plan.fingerprint();
  contents.attributes["weights_sha256"] = summary.weights_sha256;
  std::error_code error;
  std::filesystem::create_directories(folder.checkpoints_path(), error);
  if (error) throw StorageError("cannot make {}: {}", folder.checkpoints_path().string(), error.message());
  write_checkpoint(folder.checkpoints_path() / fmt::format("step-{:09d}.h5", summary.steps), contents);
}

/// Several processes that each believe to be alone would all train the same and fight over the run folder.
void want_one_process() {
  for (const char* variable : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"}) {
    const char* value = std::getenv(variable);
    if (value == nullptr || std::atoi(value) <= 1) continue;
    throw UsageError("{} is {}: this version trains in one process; start it without mpirun and srun -n", variable,
                     value);
  }
}

/// Opens the folder for a run from step 0. A finished run whose recipe now asks for more steps is started over: the
/// schedule of the longer run is another one from its first step on. Earlier files are kept in previous-N/.
/// `as_asked`: the recipe before the machine filled in shards and threads, which may differ from the folder's machine.
RunFolder open_folder(const std::filesystem::path& path, const Recipe& recipe, const std::string& as_asked,
                      const std::string& provenance, std::int64_t total_steps) {
  const auto asks_for_more = [&](const std::string&, const std::string&) {
    return total_steps > read_summary(path).steps;
  };
  const auto differs = [&](const std::string& held, const std::string&) { return difference_text(held, as_asked); };
  RunFolder folder =
      RunFolder::open(path, resolved_text(recipe), differs, {.provenance = provenance, .asks_for_more = asks_for_more});
  if (folder.resumable()) folder.start_over();
  return folder;
}

/// Stands for a network that no recipe describes: another network is another experiment.
std::string program_model_text(const Graph& graph) {
  std::string text;
  for (const Node& node : graph.nodes) {
    if (node.phase != Phase::forward || node.op->name == "reorder") continue;
    text += fmt::format("{} {} {}", node.op->name, node.layer, graph.value(node.outputs[0]).shape.text());
    for (const auto& [key, value] : node.attributes.entries()) text += fmt::format(" {}={}", key, to_text(value));
    text += '\n';
  }
  return fmt::format("of a C++ program, graph {:016x}", XXH3_64bits(text.data(), text.size()));
}

/// What a run holds once it is sure to begin.
struct Prepared {
  const Recipe& recipe;
  const TrainOptions& options;
  const Hardware& hardware;
  const Sizing& sizing;
  const RunData& data;
  const Plans& plans;
  const RunFolder& folder;
  Communicator& communicator;
  std::FILE* text;
};

void show_first_screen(const Prepared& run, const MemoryPlan& memory) {
  FirstScreen screen = make_screen(run.recipe, run.data, run.sizing, run.plans, memory, run.hardware, run.communicator);
  screen.run_folder = run.folder.path().string();
  const std::string lines = first_screen(screen);
  if (!run.options.quiet) {
    fmt::print(run.text, "{}", lines);
    std::fflush(run.text);
  }
  log_to_file_only(LogLevel::info, lines);
  if (!run.folder.previous().empty()) log_info("the earlier run's files are in {}", run.folder.previous().string());
}

void train_prepared(const Prepared& run, const StopSignals& stop, Summary& summary) {
  const std::unique_ptr<Executable> executable =
      backend_for(run.recipe.device)
          .make_executable(executable_options(run.recipe, run.sizing, run.plans, run.communicator));
  initialize_state(*executable, run.plans.training, run.recipe.train.seed);
  const MemoryPlan memory = plan_run_memory(run.recipe, run.data.test->info(), run.sizing, run.plans);
  summary.peak_bytes = memory.total();
  show_first_screen(run, memory);
  Progress progress(is_terminal(run.text), run.options.quiet ? nullptr : run.text, run.sizing.total_steps,
                    run.sizing.steps_per_epoch, run.sizing.epochs());
  std::optional<LogThroughProgress> through;
  if (!run.options.quiet) through.emplace(progress);
  {
    TrainingRun training({run.recipe, run.sizing, run.data, run.plans.optimizer, *executable, progress, summary},
                         run.folder.metrics_path());
    summary.start_seconds = seconds_since_start();
    training.run(stop);
  }
  progress.finish();
  summary.weights_sha256 = current_weights_sha256(*executable);
  if (summary.status == "done") save_weights(*executable, run.recipe, run.folder, summary, run.plans.training);
}

/// Leaves word of a failure behind; a second failure while doing so must not hide the first.
void record_failure(const RunFolder& folder, Summary& summary, const std::string& message) {
  summary.status = "failed";
  if (summary.error.empty()) summary.error = message;
  log_to_file_only(LogLevel::error, summary.error);
  try {
    write_summary(folder.path(), summary);
  } catch (const Error& error) {
    log_error("{}", error.what());
  }
}

}  // namespace

Summary train(Recipe recipe, const TrainOptions& options) {
  want_one_process();
  const StopSignals stop;
  std::FILE* text = options.text_to_stderr ? stderr : stdout;
  const Backend& backend = backend_for(recipe.device);
  const std::unique_ptr<Communicator> communicator = make_self_communicator();
  const Hardware hardware = probe_hardware();
  const ModelSpec model = options.model ? *options.model : model_of(recipe);

  Recipe asked = recipe;
  OpeningData opening(recipe);
  const Sizing sizing = size_run(recipe, opening.train_size(), hardware, *communicator);
  const Plans plans = make_plans(recipe, model, opening.info(), sizing);
  if (options.model) {
    for (Recipe* held : {&recipe, &asked})
      held->resolved.set("model", scalar_node(program_model_text(plans.training.graph)));
  }
  check_memory(recipe, model, opening.info(), sizing, plans, hardware, *communicator);
  const RunData data = opening.finish();

  const std::string provenance = provenance_text(backend, hardware);
  const RunFolder folder = open_folder(options.run.empty() ? default_run_folder(recipe.name) : options.run, recipe,
                                       resolved_text(asked), provenance, sizing.total_steps);
  if (folder.already_done()) {
    if (!options.quiet) {
      fmt::print(text, "{} is already done; nothing was trained. --run DIR trains in another folder.\n",
                 folder.path().string());
    }
    return read_summary(folder.path());
  }

  const RunLog log(folder.log_path());
  log_to_file_only(LogLevel::info, provenance);
  Summary summary;
  summary.world_size = communicator->size();
  summary.shards = sizing.shards;
  summary.shard_threads = sizing.shard_threads;
  summary.backend = backend.name();
  summary.precision = recipe.train.precision;
  try {
    train_prepared({recipe, options, hardware, sizing, data, plans, folder, *communicator, text}, stop, summary);
    write_summary(folder.path(), summary);
  } catch (const Error& error) {
    record_failure(folder, summary, error.what());
    throw;
  } catch (const std::bad_alloc&) {
    record_failure(folder, summary, "out of memory; use a smaller batch");
    throw;
  } catch (const std::exception& error) {
    record_failure(folder, summary, error.what());
    throw;
  }
  log_to_file_only(LogLevel::info, to_json(summary));
  if (!options.quiet) {
    print_summary(text, summary,
                  {.run_folder = folder.path(),
                   .recipe = options.recipe_argument,
                   .program = options.program,
                   .total_steps = sizing.total_steps});
  }
  return summary;
}

Summary train(const ModelSpec& model, const std::string& recipe_text, const TrainOptions& options) {
  TrainOptions with_model = options;
  with_model.model = model;
  return train(parse_recipe_without_model(recipe_text, "the program's recipe"), with_model);
}

}  // namespace athanor
