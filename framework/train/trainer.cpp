#include "train/trainer.h"

#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "backend/cpu/executable.h"
#include "config/document.h"
#include "config/emit.h"
#include "data/loader.h"
#include "io/checkpoint_file.h"
#include "train/evaluator.h"
#include "train/metrics.h"
#include "train/progress.h"
#include "train/read_summary.h"
#include "train/run_folder.h"
#include "train/run_screen.h"
#include "train/session.h"
#include "train/stop.h"
#include "train/weights_hash.h"

namespace athanor {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

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

LoaderOptions training_loader(const Recipe& recipe, const RunData& data) {
  LoaderOptions options;
  options.batch = recipe.train.batch;
  options.seed = recipe.train.seed;
  options.augmentations = data.augmentations;
  options.subset = data.train_subset;
  return options;
}

LoaderOptions evaluation_loader(std::int64_t rows, const std::vector<std::int64_t>& subset) {
  LoaderOptions options;
  options.mode = LoaderMode::evaluate;
  options.batch = rows;
  options.subset = subset;
  options.depth = 2;
  return options;
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

/// The run in hand: set up by the constructor, driven by run().
class Run {
 public:
  Run(const Recipe& recipe, const Sizing& sizing, const RunData& data, Executable& executable,
      const OptimizerSpec& optimizer, const std::filesystem::path& folder, Progress& progress, Summary& summary)
      : recipe_(recipe),
        sizing_(sizing),
        executable_(executable),
        optimizer_(optimizer),
        progress_(progress),
        summary_(summary),
        metrics_(folder / "metrics.jsonl"),
        loader_(*data.train, training_loader(recipe, data)),
        test_(*data.test, evaluation_loader(sizing.evaluation_rows, {})),
        schedule_(make_schedule(recipe.schedule.name, recipe.schedule.attributes,
                                {.lr = optimizer.lr,
                                 .momentum = cycled_momentum(optimizer),
                                 .steps_per_epoch = sizing.steps_per_epoch,
                                 .total_steps = sizing.total_steps})),
        plateau_(schedule_.initial_state()) {
    if (!data.validation_subset.empty()) {
      validation_ =
          std::make_unique<Loader>(*data.train, evaluation_loader(sizing.evaluation_rows, data.validation_subset));
    }
    rates_.reserve(static_cast<std::size_t>(sizing.total_steps));
  }

  void run(const StopSignals& stop) {
    const Clock::time_point start = Clock::now();
    step_end_ = start;
    for (std::int64_t step = 0; step < sizing_.total_steps && !stop.requested(); ++step) {
      take_step(step);
      const bool epoch_ends = (step + 1) % sizing_.steps_per_epoch == 0;
      summary_.epochs = (step + 1) / sizing_.steps_per_epoch;
      if (epoch_ends && evaluation_is_due(step + 1)) evaluate_now(step + 1);
      summary_.train_seconds = seconds_since(start);
    }
    if (!stop.requested()) evaluate_at_end();
    summary_.train_seconds = seconds_since(start);
    summary_.status = stop.requested() ? "interrupted" : "done";
    finish();
  }

  void finish() {
    metrics_.flush();
    if (rates_.empty()) return;
    const auto middle = rates_.begin() + static_cast<std::ptrdiff_t>(rates_.size() / 2);
    std::nth_element(rates_.begin(), middle, rates_.end());
    summary_.images_per_s = *middle;
  }

 private:
  void take_step(std::int64_t step) {
    const Batch& batch = loader_.next();
    const ScheduleValues values = schedule_.at(step, plateau_);
    const StepResult result =
        executable_.step(batch, {.step = updates_ + 1, .lr = values.lr, .momentum = values.momentum, .grad_scale = 1});
    if (result.finite) {
      ++updates_;
    } else {
      handle_non_finite(step, batch, values.lr, result);
    }
    const double step_s = seconds_since(step_end_);
    step_end_ = Clock::now();
    const StepLine line{.step = step + 1,
                        .epoch = step / sizing_.steps_per_epoch + 1,
                        .samples = (step + 1) * recipe_.train.batch,
                        .loss = result.loss,
                        .lr = values.lr,
                        .images_per_s = static_cast<double>(recipe_.train.batch) / step_s,
                        .step_ms = step_s * 1e3,
                        .data_wait_ms = loader_.last_wait_s() * 1e3,
                        .comm_exposed_ms = 0,
                        .grad_norm = result.grad_norm};
    metrics_.train(line);
    progress_.step(line);
    rates_.push_back(line.images_per_s);
    summary_.steps = line.step;
    summary_.samples = line.samples;
    summary_.loss = line.loss;
  }

  void handle_non_finite(std::int64_t step, const Batch& batch, double lr, const StepResult& result) {
    ++summary_.skipped_steps;
    if (recipe_.train.on_nonfinite == "skip") return;
    const std::optional<BadValue> bad = executable_.find_non_finite(batch);
    const std::size_t shown = std::min<std::size_t>(16, batch.sample_indices.size());
    throw NumericsError(
        "step {}: {} is not finite (learning rate {:g}); {}; sample indices of the batch: {}{}. Lower optimizer.lr, "
        "set "
        "optimizer.clip_norm, or let train.on_nonfinite=skip leave such updates out",
        step + 1, std::isfinite(result.loss) ? "the gradient" : "the loss", lr,
        bad ? fmt::format("first bad output: {} of layer {}, shard {}", bad->op, bad->layer, bad->shard)
            : std::string("no single output is bad: a sum overflowed"),
        fmt::join(batch.sample_indices.first(shown), ", "), shown < batch.sample_indices.size() ? ", …" : "");
  }

  bool evaluation_is_due(std::int64_t steps) const {
    const std::int64_t every = recipe_.eval.every_epochs;
    return steps < sizing_.total_steps && every > 0 && (steps / sizing_.steps_per_epoch) % every == 0;
  }

  /// While training, the hold-out drives "best" and the plateau; without one, the test split does.
  void evaluate_now(std::int64_t step) {
    const Evaluation result = validation_ ? report(step, "validation", *validation_) : report(step, "test", test_);
    summary_.best_accuracy = std::fmax(summary_.best_accuracy, result.accuracy);
    if (!schedule_.metric().empty()) {
      plateau_ = schedule_.observe(plateau_, schedule_.metric() == "loss" ? result.loss : result.accuracy);
    }
  }

  void evaluate_at_end() {
    evaluate_now(sizing_.total_steps);
    if (validation_) report(sizing_.total_steps, "test", test_);
  }

  Evaluation report(std::int64_t step, std::string_view split, Loader& loader) {
    const Evaluation result = evaluate(executable_, loader, optimizer_.ema.enabled());
    const EvalLine line{.step = step,
                        .epoch = (step + sizing_.steps_per_epoch - 1) / sizing_.steps_per_epoch,
                        .split = split,
                        .loss = result.loss,
                        .accuracy = result.accuracy,
                        .top5 = result.top5,
                        .samples = result.samples};
    metrics_.evaluation(line);
    progress_.evaluation(line);
    if (split == "test") summary_.accuracy = result.accuracy;
    step_end_ = Clock::now();
    return result;
  }

  const Recipe& recipe_;
  const Sizing& sizing_;
  Executable& executable_;
  const OptimizerSpec& optimizer_;
  Progress& progress_;
  Summary& summary_;
  MetricsLog metrics_;
  Loader loader_;
  Loader test_;
  std::unique_ptr<Loader> validation_;
  Schedule schedule_;
  PlateauState plateau_;
  std::vector<double> rates_;
  std::int64_t updates_ = 0;
  Clock::time_point step_end_;
};

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
  std::filesystem::create_directories(folder.checkpoints_path());
  write_checkpoint(folder.checkpoints_path() / fmt::format("step-{:09d}.h5", summary.steps), contents);
}

std::optional<std::string> recipe_difference(const std::string& old_recipe, const std::string& new_recipe) {
  const auto difference = first_difference(parse_yaml(old_recipe, "the folder's recipe.yaml"),
                                           parse_yaml(new_recipe, "the recipe given now"));
  if (!difference) return std::nullopt;
  return fmt::format("{} is {} there and {} here", difference->path, difference->a, difference->b);
}

/// A finished run whose recipe now asks for more epochs or steps is started over; its files are kept in previous-N/.
bool asks_for_more(const std::string& old_recipe, const std::string& new_recipe) {
  const auto length = [](const std::string& text, const char* key) {
    const YamlNode root = parse_yaml(text, "recipe.yaml");
    const YamlNode* node = find_node(root, key);
    return node == nullptr ? 0L : std::strtol(node->text.c_str(), nullptr, 10);
  };
  return length(new_recipe, "train.epochs") > length(old_recipe, "train.epochs") ||
         length(new_recipe, "train.max_steps") > length(old_recipe, "train.max_steps");
}

Summary finished_summary(const RunFolder& folder, std::FILE* text, bool quiet) {
  if (!quiet)
    fmt::print(text, "{} is already done; nothing was trained. --run DIR trains in another folder.\n",
               folder.path().string());
  return read_summary(folder.path());
}

}  // namespace

Summary train(Recipe recipe, const TrainOptions& options) {
  const StopSignals stop;
  std::FILE* text = options.text_to_stderr ? stderr : stdout;
  const std::unique_ptr<Communicator> communicator = make_self_communicator();
  const Hardware hardware = probe_hardware();
  const RunData data = open_data(recipe);
  const Sizing sizing = size_run(recipe, data, hardware, *communicator);
  const ModelSpec model = options.model ? *options.model : model_of(recipe);
  const Plans plans = make_plans(recipe, model, data.train->info(), sizing);
  check_memory(recipe, model, data.train->info(), sizing, plans, hardware, *communicator);

  const std::filesystem::path path = options.run.empty() ? default_run_folder(recipe.name) : options.run;
  RunFolder folder = RunFolder::open(path, resolved_text(recipe), recipe_difference,
                                     {.provenance = {}, .asks_for_more = asks_for_more});
  if (folder.already_done()) return finished_summary(folder, text, options.quiet);

  Summary summary;
  summary.world_size = communicator->size();
  summary.shards = sizing.shards;
  summary.shard_threads = sizing.shard_threads;
  summary.precision = recipe.train.precision;
  try {
    const std::unique_ptr<Executable> executable =
        cpu::make_executable(executable_options(recipe, sizing, plans, *communicator));
    initialize_state(*executable, plans.training, recipe.train.seed);
    summary.peak_bytes = executable->memory().total();
    FirstScreen screen = make_screen(recipe, data, sizing, plans, executable->memory(), hardware, *communicator);
    screen.run_folder = folder.path().string();
    if (!options.quiet) fmt::print(text, "{}", first_screen(screen));
    // In a file or batch job too the screen is there before the first step.
    std::fflush(text);
    Progress progress(is_terminal(text), options.quiet ? nullptr : text, sizing.total_steps, sizing.steps_per_epoch,
                      recipe.train.epochs);
    Run run(recipe, sizing, data, *executable, plans.optimizer, folder.path(), progress, summary);
    summary.start_seconds = seconds_since_start();
    run.run(stop);
    progress.finish();
    summary.weights_sha256 = current_weights_sha256(*executable);
    if (summary.status == "done") save_weights(*executable, recipe, folder, summary, plans.training);
  } catch (const Error& error) {
    summary.status = "failed";
    summary.error = error.what();
    write_summary(folder.path(), summary);
    throw;
  }
  write_summary(folder.path(), summary);
  if (!options.quiet) print_summary(text, summary, folder.path(), options.recipe_argument);
  return summary;
}

Summary train(const ModelSpec& model, const std::string& recipe_text, const TrainOptions& options) {
  TrainOptions with_model = options;
  with_model.model = model;
  return train(parse_recipe(recipe_text, "the program's recipe"), with_model);
}

}  // namespace athanor
