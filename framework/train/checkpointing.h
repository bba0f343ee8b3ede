// When the training loop saves, and what becomes of it. The loop stands still while the state is copied; a thread
// writes the copy while training goes on.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "backend/executable.h"
#include "comm/communicator.h"
#include "io/checkpoint_folder.h"
#include "io/checkpoint_writer.h"
#include "train/metrics.h"
#include "train/recipe.h"

namespace athanor {

/// What saving has come to so far.
struct CheckpointTally {
  std::int64_t newest_step = -1;  ///< on the disk
  std::int64_t written = 0, failed = 0;
  double stall_s = 0;  ///< sums over the written ones: training stood still,
  double write_s = 0;  ///< and what writing took
};

struct CheckpointingParts {
  const CheckpointSettings& settings;
  Executable& executable;
  Communicator& communicator;
  MetricsLog& metrics;
  std::filesystem::path folder;  ///< RUN/checkpoints, prepared; empty on the ranks that do not write
  std::int64_t start_step = -1;  ///< of the checkpoint that the run goes on from; −1: none
};

/// All ranks make the same calls; the one with a folder, rank 0, keeps the copy and writes.
class Checkpointing {
 public:
  /// Allocates the one copy that there is.
  explicit Checkpointing(const CheckpointingParts& parts);
  /// Waits for what is being written.
  ~Checkpointing();
  Checkpointing(const Checkpointing&) = delete;
  Checkpointing& operator=(const Checkpointing&) = delete;

  /// By the recipe's intervals. `is_best`: the evaluation of this step was the best so far.
  bool is_due(std::int64_t step, std::int64_t steps_per_epoch, bool is_best) const;

  /// Compares the ranks' weights, copies the state and starts to write it; waits before that while the one before is
  /// still being written. `best_step`: whose checkpoint is kept beside the newest ones. Collective. Throws
  /// NumericsError where ranks differ, and as poll() does.
  void save(const CheckpointMeta& meta, std::optional<std::int64_t> best_step);

  /// Notes what became of the write in hand, without waiting. A failure is logged, and training goes on; throws
  /// StorageError with checkpoint.required.
  void poll();

  /// Waits for the write in hand. True on all ranks where the last save() is on the disk. Collective. Throws as poll().
  bool finish();

  const CheckpointTally& tally() const { return tally_; }
  /// Of the last save(); −1: none.
  std::int64_t saved_step() const { return saved_step_; }

 private:
  void wait_for_room(std::int64_t step);
  void note(const CheckpointWriter::Outcome& outcome);
  CheckpointSources sources(const CheckpointMeta& meta) const;

  CheckpointingParts parts_;
  std::vector<StateEntry> entries_;
  std::unique_ptr<StateSnapshot> snapshot_;   ///< where there is a folder
  std::unique_ptr<CheckpointWriter> writer_;  ///< likewise; ends before the snapshot goes
  std::int64_t saved_step_ = -1;
  bool last_is_written_ = false;
  bool said_slow_ = false;
  double stall_ms_ = 0;
  CheckpointTally tally_;
};

}  // namespace athanor
