// Writes checkpoints on a thread of its own, one at a time, so that training goes on meanwhile.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "io/checkpoint_file.h"

namespace athanor {

class CheckpointWriter {
 public:
  struct Outcome {
    std::filesystem::path path;
    std::int64_t step = 0;
    WrittenCheckpoint written;
    std::string error;        ///< why the checkpoint is not there; empty: it is, verified
    std::string after_error;  ///< why `after` failed (an old one could not be removed); the checkpoint is there
  };

  CheckpointWriter();
  /// Waits for what is being written.
  ~CheckpointWriter();
  CheckpointWriter(const CheckpointWriter&) = delete;
  CheckpointWriter& operator=(const CheckpointWriter&) = delete;

  /// Begins to write; `sources` must stay readable until busy() is false. `after` runs on the thread once the
  /// checkpoint is there: for pruning. Call only while not busy().
  void start(std::filesystem::path path, std::int64_t step, CheckpointSources sources, std::function<void()> after);
  bool busy() const;
  /// What became of a write that was started, once for each, oldest first; does not wait.
  std::optional<Outcome> take_outcome();
  /// Until busy() is false.
  void wait();

 private:
  struct Job {
    std::filesystem::path path;
    std::int64_t step = 0;
    CheckpointSources sources;
    std::function<void()> after;
  };

  void run();

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<Job> job_;  // there while busy
  std::deque<Outcome> outcomes_;
  bool ending_ = false;
  std::thread thread_;  // last: it uses all the others
};

}  // namespace athanor
