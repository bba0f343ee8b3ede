// What happens before step 0 and after the last one; the loop itself is in training_run.cpp.
#include "train/trainer.h"

#include <algorithm>

#include "base/log.h"
#include "base/print.h"
#include "train/finished_marker.h"
#include "train/phases.h"
#include "train/read_summary.h"
#include "train/resume.h"
#include "train/run_log.h"
#include "train/run_screen.h"
#include "train/run_setup.h"
#include "train/since_start.h"
#include "train/training_run.h"
#include "train/units_text.h"
#include "train/weights_hash.h"
#include "watch/heartbeat_client.h"

namespace athanor {
namespace {

constexpr double kStartTimeout_s = 1800;

std::string current_weights_sha256(const Executable& executable) {
  std::vector<NamedTensor> tensors;
  for (const StateEntry& entry : executable.list_state()) {
    if (entry.kind != StateKind::parameter && entry.kind != StateKind::statistic) continue;
    tensors.push_back({entry.name, entry.shape,
                       [&executable, entry](std::span<float> values) { executable.read_state(entry, values); }});
  }
  return weights_sha256(tensors);
}

/// Messages of ranks other than the first are warnings and errors, with the rank's name.
class RankVoice {
 public:
  explicit RankVoice(const Communicator& communicator) {
    if (communicator.rank() == 0) return;
    set_log_prefix(communicator.name_of(communicator.rank()));
    log_at_least(LogLevel::warning);
  }
  ~RankVoice() {
    set_log_prefix("");
    log_at_least(LogLevel::info);
  }
  RankVoice(const RankVoice&) = delete;
  RankVoice& operator=(const RankVoice&) = delete;
};

/// Who is told what: rank 0 alone speaks on standard output and writes files.
struct Audience {
  Audience(const TrainOptions& options, const Communicator& communicator)
      : text(options.text_to_stderr ? stderr : stdout), quiet(options.quiet || communicator.rank() != 0) {}
  std::FILE* text;
  bool quiet;
};

/// How long a resolved recipe is to be trained: equal texts, equal lengths.
std::string length_of(const std::string& recipe_text) {
  const YamlNode recipe = parse_yaml(recipe_text, "a resolved recipe");
  std::string text;
  for (const char* key : {"train.epochs", "train.max_steps"}) {
    const YamlNode* value = find_node(recipe, key);
    text += value == nullptr ? " -" : " " + value->text;
  }
  return text;
}

void tell_where_it_starts(const PreparedRun& run) {
  for (const std::string& note : run.notes) log_warning("{}", note);
  if (!run.stored) return;
  const CheckpointMeta& meta = run.stored->meta();
  log_info("goes on from {}, step {} of {}", run.stored->path(), meta.step, run.sizing.total_steps);
  if (length_of(meta.recipe_text) == length_of(resolved_text(run.recipe))) return;
  log_info("the run is now {} long: from here on, the learning rate is that of a run of this length",
           plural(run.sizing.total_steps, "step"));
}

void show_first_screen(const PreparedRun& run, const Audience& audience, const Communicator& communicator) {
  FirstScreen screen = make_screen(run.recipe, run.data, run.sizing, run.plans, run.memory, run.hardware, communicator);
  screen.run_folder = run.folder_path.string();
  const std::string lines = first_screen(screen);
  if (!audience.quiet) {
    print_or_lose(audience.text, "{}", lines);
    std::fflush(audience.text);
  }
  log_to_file_only(LogLevel::info, lines);
  tell_where_it_starts(run);
  if (run.folder && !run.folder->previous().empty()) {
    log_info("the earlier run's files are in {}", run.folder->previous().string());
  }
}

/// Gives the executable the state that the run begins with, and returns what goes with it where that is a checkpoint's.
std::optional<RunState> fill(Executable& executable, Communicator& communicator, PreparedRun& run) {
  if (run.stored) {
    restore_state(executable, communicator, *run.stored);
    run.stored->forget_values();
    return state_from(run.stored->meta(), run.stored->path());
  }
  initialize_state(executable, run.plans.training, run.recipe.train.seed);
  if (run.init) {
    load_weights(executable, communicator, *run.init, run.recipe.model.reset);
    run.init->forget_values();
  }
  return std::nullopt;
}

void train_prepared(PreparedRun& run, const TrainOptions& options, const Audience& audience, Communicator& communicator,
                    const StopSignals& stop, Summary& summary) {
  StoppingBound bound(communicator, stop);
  if (watch::HeartbeatClient* const heartbeats = communicator.heartbeats()) {
    heartbeats->set_crew(run.sizing.lanes * static_cast<int>(run.sizing.shard_threads),
                         static_cast<int>(run.sizing.local.count()));
    if (communicator.rank() == 0) heartbeats->set_about(about_run(run.recipe, run.sizing, run.folder_path));
  }
  // Not a phase: making one is collective. A rank that fails here ends the job.
  const std::unique_ptr<Executable> executable =
      backend_for(run.recipe.device)
          .make_executable(executable_options(run.recipe, run.sizing, run.plans, communicator));
  const std::optional<RunState> start = fill(*executable, communicator, run);
  show_first_screen(run, audience, communicator);
  // A launcher hands ranks a terminal of its own, whatever its output goes to.
  const bool terminal = communicator.backend() == "self" && is_terminal(audience.text);
  Progress progress(terminal, audience.quiet ? nullptr : audience.text, run.sizing.total_steps,
                    run.sizing.steps_per_epoch, run.sizing.epochs());
  std::optional<LogThroughProgress> through;
  if (!audience.quiet) through.emplace(progress);
  {
    TrainingRun training(
        {run.recipe, run.sizing, run.data, run.plans.optimizer, *executable, communicator, bound, progress, summary,
         run.facts, options.after_step, start},
        run.folder ? RunFiles{run.folder->metrics_path(), run.folder->checkpoints_path()} : RunFiles{});
    summary.start_seconds = seconds_since_start();
    training.run(stop);
  }
  progress.finish();
  summary.weights_sha256 = current_weights_sha256(*executable);
}

/// The last that a run writes.
void leave_summary(const PreparedRun& run, const Summary& summary) {
  if (!run.folder) return;
  run.folder->keep_recipe(recipe_file_text(run.provenance, resolved_text(run.recipe)));
  write_summary(run.folder->path(), summary);
}

/// Leaves word of a failure behind; a second failure while doing so must not hide the first.
void record_failure(const PreparedRun& run, Summary& summary) {
  const Failure failure = current_failure();
  summary.status = "failed";
  if (summary.error.empty()) summary.error = failure.message;
  log_to_file_only(LogLevel::error, summary.error);
  try {
    leave_summary(run, summary);
  } catch (const Error& error) {
    log_error("{}", error.what());
  }
}

Summary summary_of(const PreparedRun& run, const Communicator& communicator) {
  Summary summary;
  summary.world_size = communicator.size();
  summary.shards = run.sizing.shards;
  summary.shard_threads = run.sizing.shard_threads;
  summary.backend = backend_for(run.recipe.device).name();
  summary.precision = run.recipe.train.precision;
  summary.peak_bytes = run.memory.total();
  return summary;
}

/// What a finished run left behind; ranks that do not hold the folder know no more than that it is done.
Summary finished_summary(const PreparedRun& run, const Audience& audience) {
  if (!run.folder) return {.status = "done"};
  if (!audience.quiet) {
    print_or_lose(audience.text, "{} is already done; nothing was trained. --run DIR trains in another folder.\n",
                  run.folder_path.string());
  }
  return read_summary(run.folder_path);
}

Summary train_on_ranks(Recipe recipe, const TrainOptions& options, Communicator& communicator) {
  std::optional<StopSignals> own;
  const StopSignals& stop = options.stop != nullptr ? *options.stop : own.emplace();
  const RankVoice voice(communicator);
  communicator.activity().set_phase(watch::Phase::starting);
  if (watch::HeartbeatClient* const heartbeats = communicator.heartbeats()) heartbeats->on_stop(StopSignals::request);
  const Audience audience(options, communicator);
  const double usual_s = recipe.comm.timeout_s.value_or(communicator.timeout_s());
  // Before step 0 a rank may read for long: its data, a checkpoint.
  communicator.set_timeout(std::max(usual_s, kStartTimeout_s));
  const std::unique_ptr<PreparedRun> run = prepare_run(std::move(recipe), options, communicator);
  communicator.set_timeout(usual_s);
  if (run->already_done) return finished_summary(*run, audience);

  std::optional<RunLog> log;
  agree_on(communicator, "run folder", [&] {
    if (run->folder) log.emplace(run->folder->log_path());
  });
  log_to_file_only(LogLevel::info, run->provenance);
  Summary summary = summary_of(*run, communicator);
  try {
    train_prepared(*run, options, audience, communicator, stop, summary);
    leave_summary(*run, summary);
  } catch (...) {
    record_failure(*run, summary);
    throw;
  }
  log_to_file_only(LogLevel::info, to_json(summary));
  if (!audience.quiet) {
    print_summary(audience.text, summary,
                  {.run_folder = run->folder_path,
                   .recipe = options.recipe_argument,
                   .program = options.program,
                   .total_steps = run->sizing.total_steps});
  }
  return summary;
}

void tell_on_stderr(const Failure& failure) {
  print_or_lose(stderr, "{}\n", failure.message);
}

}  // namespace

Summary train(Recipe recipe, const TrainOptions& options) {
  if (options.communicator != nullptr) return train_on_ranks(std::move(recipe), options, *options.communicator);
  const std::unique_ptr<Communicator> communicator = make_communicator();
  Summary summary;
  const auto act = [&] {
    summary = train_on_ranks(std::move(recipe), options, *communicator);
    if (summary.status == "done") first_does(*communicator, "finished marker", leave_finished_marker);
  };
  end_together(*communicator, act, tell_on_stderr);
  return summary;
}

Summary train(const ModelSpec& model, const std::string& recipe_text, const TrainOptions& options) {
  TrainOptions with_model = options;
  with_model.model = model;
  return train(parse_recipe_without_model(recipe_text, "the program's recipe"), with_model);
}

}  // namespace athanor
