#include "train/run_setup.h"

#include "base/build_id.h"
#include "base/log.h"
#include "comm/buckets.h"
#include "comm/heartbeats.h"
#include "io/checkpoint_folder.h"
#include "io/trial_write.h"
#include "train/core_share.h"
#include "train/cut_metrics.h"
#include "train/phases.h"
#include "train/program_model.h"
#include "train/provenance.h"
#include "train/rank_agreement.h"
#include "train/read_summary.h"
#include "train/resume.h"
#include "train/stop.h"

namespace athanor {
namespace {

namespace fs = std::filesystem;

std::string first_line(const std::string& text) {
  return text.substr(0, text.find('\n'));
}

class Preparation {
 public:
  Preparation(PreparedRun& run, const TrainOptions& options, Communicator& communicator)
      : run_(run), asked_(run.recipe), options_(options), communicator_(communicator), opening_(run.recipe) {}

  void go() {
    compare_programs();
    share_cores(run_.hardware, communicator_);
    agree_on(communicator_, "data", [&] { samples_ = opening_.train_size(); });
    take_used_folder();
    if (run_.already_done) return;
    read_checkpoints();
    plan();
    agree_on(communicator_, "data", [&] { run_.data = opening_.finish(); });
    want_same_data(communicator_, run_.data);
    run_.facts = facts_of(run_.recipe, run_.sizing, run_.plans, run_.data, run_.provenance, communicator_.size());
    agree_on(communicator_, "checkpoint", [&] {
      if (run_.stored) want_same_run(*run_.stored, asked_, run_.facts, run_.sizing.total_steps);
      if (run_.init) want_fitting_weights(*run_.init, run_.plans.training, run_.recipe.model.reset);
    });
    begin_in_folder();
  }

 private:
  bool is_first() const { return communicator_.rank() == 0; }

  void compare_programs() {
    use_common_isa(communicator_, run_.recipe.train.deterministic);
    run_.hardware = probe_hardware();
    agree_on(communicator_, "device",
             [&] { run_.provenance = provenance_text(backend_for(run_.recipe.device), run_.hardware); });
    want_same_program(communicator_, first_line(run_.provenance) + "\nbuild " + build_id());
    want_same_recipe(communicator_, run_.recipe);
    if (options_.model) {
      run_.model = *options_.model;
    } else {
      run_.model = model_of(run_.recipe);
    }
  }

  /// A recipe that a folder holds is compared with what was asked, before the machine filled in shards and threads:
  /// they may differ from the machine that the folder's run was begun on.
  std::optional<std::string> difference_to(const std::string& held) const {
    Recipe compared = asked_;
    if (options_.model && !is_planned_) {
      // The network is not known yet; it is compared when it is.
      const YamlNode there = parse_yaml(held, "the folder's recipe.yaml");
      if (const YamlNode* model = there.find("model")) compared.resolved.set("model", *model);
    }
    return difference_text(held, resolved_text(compared));
  }

  RunFolder take_folder() const {
    return RunFolder::take(
        run_.folder_path, resolved_text(asked_),
        [&](const std::string& held, const std::string&) { return difference_to(held); },
        [&](const std::string&, const std::string&) {
          return count_steps(run_.recipe, samples_) > read_summary(run_.folder_path).steps;
        },
        patience());
  }

  /// Who starts again knows that a host is gone before its file server does, which keeps the lock of a rank there until
  /// a lease ends (NFS: 90 s).
  LockPatience patience() const {
    constexpr double kLongestLease_s = 150;
    if (!has_supervisor()) return {};
    return {.most_s = kLongestLease_s,
            .gives_up = [this] { return options_.stop != nullptr && options_.stop->requested(); },
            .tell = [](const std::string& text) { log_warning("{}", text); }};
  }

  /// A folder that holds a run may say more than the recipe, so it is looked at before anything is planned.
  void take_used_folder() {
    run_.folder_path = options_.run.empty() ? default_run_folder(run_.recipe.name) : options_.run;
    first_does(communicator_, "run folder", [&] {
      std::error_code ignored;
      if (fs::exists(run_.folder_path / "recipe.yaml", ignored)) run_.folder = take_folder();
    });
    // Who names a checkpoint, or none, wants to train.
    std::int32_t done = run_.folder && run_.folder->already_done() && options_.resume == "auto" ? 1 : 0;
    communicator_.broadcast(&done, sizeof done, 0, "run folder");
    run_.already_done = done != 0;
  }

  void read_checkpoints() {
    fs::path path;
    std::optional<CheckpointContents> contents;
    first_does(communicator_, "checkpoint", [&] {
      if (options_.resume == "auto") {
        if (run_.folder && run_.folder->resumable()) contents = newest_checkpoint(path);
      } else if (options_.resume != "never") {
        path = options_.resume;
        contents = read_checkpoint(path, most_bytes());
      }
      if (contents) state_from(*contents, path.string());
    });
    run_.stored = StoredRun::share(communicator_, path, std::move(contents));
    if (run_.stored && !options_.init.empty()) {
      run_.notes.push_back(
          fmt::format("--init {} is not used: the run goes on from its own checkpoint; --resume never "
                      "starts over",
                      options_.init.string()));
    }
    if (run_.stored) adopt_choices(run_.recipe, *run_.stored);
    contents.reset();
    if (!run_.stored && !options_.init.empty()) {
      first_does(communicator_, "checkpoint", [&] { contents = read_checkpoint(options_.init, most_bytes()); });
      run_.init = StoredRun::share(communicator_, options_.init, std::move(contents));
    }
    if (run_.init || run_.stored || run_.recipe.model.reset.empty()) return;
    throw_on_all_ranks({ExitCode::usage,
                        "model.reset is for runs that start from a checkpoint's weights: give --init "
                        "FILE, or leave model.reset out"});
  }

  /// Of a file that anyone may have written: it is held in memory twice while it is read.
  std::uint64_t most_bytes() const { return run_.hardware.memory_available_bytes / 2; }

  std::optional<CheckpointContents> newest_checkpoint(fs::path& path) {
    CheckpointFolder checkpoints(run_.folder->checkpoints_path());
    std::optional<CheckpointFolder::Found> found = checkpoints.newest_good();
    run_.notes = checkpoints.notes();
    if (!found) {
      run_.notes.push_back("no checkpoint verifies: the run starts over");
      return std::nullopt;
    }
    path = found->path;
    return std::move(found->contents);
  }

  void plan() {
    const DatasetInfo& info = opening_.info();
    agree_on(communicator_, "batch",
             [&] { run_.sizing = size_run(run_.recipe, samples_, run_.hardware, communicator_); });
    // Once for a run: a checkpoint keeps what was measured. Between devices the communicator's speed says nothing.
    const bool sums_on_host = !backend_for(run_.recipe.device).device_memory_bytes();
    if (!run_.recipe.comm.bucket_mb && communicator_.size() > 1 && sums_on_host) {
      run_.recipe.comm.bucket_mb = measure_bucket_mb(communicator_);
    }
    const auto plan_run = [&] { run_.plans = make_plans(run_.recipe, run_.model, info, run_.sizing); };
    const Backend& backend = backend_for(run_.recipe.device);
    if (run_.stored) adopt_measured_choices(backend, *run_.stored);
    plan_alike(communicator_, backend, plan_run);
    want_same_plans(communicator_, run_.plans.training, run_.plans.evaluation);
    is_planned_ = true;
    if (options_.model) {
      const YamlNode model = scalar_node(program_model_text(run_.plans.training.graph));
      for (Recipe* recipe : {&run_.recipe, &asked_}) recipe->resolved.set("model", model);
    }
    agree_on(communicator_, "memory", [&] {
      check_memory(run_.recipe, run_.model, info, run_.sizing, run_.plans, run_.hardware, communicator_);
      run_.memory = plan_run_memory(run_.recipe, info, run_.sizing, run_.plans, communicator_);
    });
  }

  void begin_in_folder() {
    first_does(communicator_, "run folder", [&] {
      // The lock goes with the folder: it is not given up in between.
      if (!run_.folder) {
        run_.folder = take_folder();
      } else if (options_.model) {
        look_at_run_folder(run_.folder_path, resolved_text(asked_),
                           [&](const std::string& held, const std::string&) { return difference_to(held); });
      }
      const std::string recipe_file = recipe_file_text(run_.provenance, resolved_text(run_.recipe));
      const CheckpointFolder checkpoints(run_.folder->checkpoints_path());
      // Before anything is moved or cut: where there is no room, all stays as it was.
      const std::uint64_t bytes = checkpoint_bytes(run_.plans), wanted = run_.stored ? bytes : 2 * bytes;
      want_free_space(run_.folder_path, wanted);
      try_writing(run_.folder_path);
      if (!run_.stored) {
        run_.folder->start_over(recipe_file);
      } else {
        run_.folder->go_on(recipe_file, run_.stored->meta().step);
        cut_metrics(run_.folder->metrics_path(), run_.stored->meta().step);
      }
      checkpoints.prepare(wanted);
    });
  }

  PreparedRun& run_;
  Recipe asked_;
  const TrainOptions& options_;
  Communicator& communicator_;
  OpeningData opening_;
  std::int64_t samples_ = 0;
  bool is_planned_ = false;
};

}  // namespace

std::unique_ptr<PreparedRun> prepare_run(Recipe recipe, const TrainOptions& options, Communicator& communicator) {
  auto run = std::make_unique<PreparedRun>();
  run->recipe = std::move(recipe);
  Preparation(*run, options, communicator).go();
  return run;
}

}  // namespace athanor
