// The training loop: batches in, updates out, evaluations when they are due. What happens before step 0 and after the
// last one is in trainer.cpp.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "data/loader.h"
#include "optim/schedule.h"
#include "train/evaluator.h"
#include "train/metrics.h"
#include "train/progress.h"
#include "train/session.h"
#include "train/stop.h"
#include "train/summary.h"

namespace athanor {

/// What a run is made of; all of it outlives the run.
struct RunParts {
  const Recipe& recipe;
  const Sizing& sizing;
  const RunData& data;
  const OptimizerSpec& optimizer;
  Executable& executable;
  Progress& progress;
  Summary& summary;  ///< kept current while the run goes on, so that it is right when the run fails
};

class TrainingRun {
 public:
  /// Opens metrics.jsonl and starts the loaders. Throws StorageError, UsageError.
  TrainingRun(const RunParts& parts, const std::filesystem::path& metrics_file);
  ~TrainingRun();
  TrainingRun(const TrainingRun&) = delete;
  TrainingRun& operator=(const TrainingRun&) = delete;

  /// Trains to the end, or to the end of the step in hand once a stop is requested, and sets the summary's status to
  /// "done" or "interrupted". Throws NumericsError, DataError, StorageError.
  void run(const StopSignals& stop);

 private:
  using Clock = std::chrono::steady_clock;

  void take_step(std::int64_t step);
  void handle_non_finite(std::int64_t step, const Batch& batch, double lr, const StepResult& result);
  bool evaluation_is_due(std::int64_t steps) const;
  using StopRequest = std::function<bool()>;
  void evaluate_now(std::int64_t step, const StopRequest& stop);
  Evaluation report(std::int64_t step, std::string_view split, Loader& loader, const StopRequest& stop);
  void note_rate(double images_per_s);

  RunParts parts_;
  MetricsLog metrics_;
  Loader loader_;
  Loader test_;
  std::unique_ptr<Loader> validation_;
  Schedule schedule_;
  PlateauState plateau_;
  std::vector<double> rates_;  ///< images/s of the newest steps
  std::int64_t updates_ = 0;   ///< steps that were not skipped
  Clock::time_point step_end_;
};

}  // namespace athanor
