// The training loop: batches in, updates out, evaluations when they are due. What happens before step 0 and after the
// last one is in trainer.cpp.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "comm/communicator.h"
#include "data/loader.h"
#include "optim/schedule.h"
#include "train/checkpoint_meta.h"
#include "train/checkpointing.h"
#include "train/evaluator.h"
#include "train/metrics.h"
#include "train/progress.h"
#include "train/run_reporter.h"
#include "train/run_state.h"
#include "train/session.h"
#include "train/stop.h"
#include "train/stopping_bound.h"
#include "train/summary.h"

namespace athanor {

/// What a run is made of; all of it outlives the run.
struct RunParts {
  const Recipe& recipe;
  const Sizing& sizing;
  const RunData& data;
  const OptimizerSpec& optimizer;
  Executable& executable;
  Communicator& communicator;
  StoppingBound& bound;
  Progress& progress;
  Summary& summary;     ///< kept current while the run goes on, so that it is right when the run fails
  RunFacts facts = {};  ///< for its checkpoints
  std::function<void(std::int64_t step)> after_step = {};
  std::optional<RunState> start = std::nullopt;  ///< where an earlier attempt was saved; none: from step 0
};

/// Where a rank writes; nowhere but on rank 0.
struct RunFiles {
  std::filesystem::path metrics;      ///< metrics.jsonl
  std::filesystem::path checkpoints;  ///< the folder, prepared
};

class TrainingRun {
 public:
  /// Opens metrics.jsonl and starts the loaders, where the start says. Throws StorageError, UsageError.
  TrainingRun(const RunParts& parts, const RunFiles& files);
  ~TrainingRun();
  TrainingRun(const TrainingRun&) = delete;
  TrainingRun& operator=(const TrainingRun&) = delete;

  /// Trains to the end, or to the end of the step in hand once a stop is requested on any rank, and sets the summary's
  /// status to "done", "preempted" (stopped and saved) or "interrupted" (stopped, but it could not be saved).
  /// Collective. Throws NumericsError, DataError, StorageError, PeerError.
  void run(const StopSignals& stop);

 private:
  using Clock = std::chrono::steady_clock;

  using StopRequest = std::function<bool()>;

  /// How far a device may run ahead of what is known of it.
  static constexpr std::int64_t kMostPending = 4;

  /// An update that was asked for and whose result is not known yet.
  struct PendingStep {
    std::int64_t step = 0;  ///< counted from 1
    double lr = 0;
    double data_wait_s = 0;
    double seconds =
        0;  ///< since the one before it was asked for: how often steps are made, however late they are known
  };

  void take_step(const StopSignals& stop);
  void take_result(const StepResult& result, const Batch* batch);
  void settle();
  void record(const StepResult& result, const PendingStep& step);
  void handle_non_finite(const StepResult& result, const PendingStep& step, const Batch* batch);
  bool evaluation_is_due() const;
  bool evaluate_now(const StopRequest& stop);
  Evaluation report(std::string_view split, Loader& loader, const StopRequest& stop);
  void train_until(std::int64_t total_steps, const StopSignals& stop);
  void evaluate_last();
  void save();
  bool save_last();
  void note_rate(double images_per_s);
  void update_summary();

  RunParts parts_;
  watch::Activity& activity_;
  RunReporter reporter_;
  MetricsLog metrics_;
  Loader loader_;
  Loader test_;
  std::unique_ptr<Loader> validation_;
  Schedule schedule_;
  RunState state_;
  const std::int64_t first_step_;                  ///< where this attempt begins
  std::array<PendingStep, kMostPending> pending_;  ///< a ring: of step s at s mod kMostPending
  std::int64_t known_;                             ///< steps whose result is known
  bool stop_asked_ = false;                        ///< by any rank, in a step whose result is known
  double earlier_seconds_ = 0;                     ///< that attempts before this one trained
  std::vector<double> rates_;                      ///< images/s of the newest steps
  std::size_t rate_count_ = 0;
  Checkpointing checkpointing_;
  Clock::time_point start_, step_end_;
};

}  // namespace athanor
