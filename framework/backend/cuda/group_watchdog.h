// Watches the sums between GPUs from a thread of its own, since a lost peer leaves nothing but a message that never
// comes: asks the group for errors, and reads how far the step has come. What it finds ends the process in bounded
// time.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "backend/cuda/progress_board.h"
#include "comm/communicator.h"

namespace athanor::cuda {

/// Calls group.abort() in a thread that nobody waits for; false where it has not returned after `bound_s`: then the
/// group must not be taken down.
bool abort_within(DeviceGroup& group, double bound_s);

struct WatchdogOptions {
  double timeout_s = 60;  ///< that a bucket may take once it has begun
  double poll_s = 0.1;
  double abort_s = 2;  ///< that the group's abort may take
  /// Ends the process; default: Communicator::leave(ExitCode::peer).
  std::function<void(const std::string& message)> leave;
};

class GroupWatchdog {
 public:
  /// All must outlive this.
  GroupWatchdog(DeviceGroup& group, const ProgressBoard& board, Communicator& communicator, WatchdogOptions options);
  /// Joins the thread.
  ~GroupWatchdog();
  GroupWatchdog(const GroupWatchdog&) = delete;
  GroupWatchdog& operator=(const GroupWatchdog&) = delete;

  /// That a bucket may take from now on.
  void set_timeout(double seconds) { timeout_s_ = seconds; }
  /// During a capture the group is not asked. Returns when that holds.
  void set_capturing(bool capturing);
  /// The step that sequence number `sequence` of the board is.
  void set_step(std::int64_t step, std::int64_t sequence) { step_offset_ = step - sequence; }

 private:
  void watch();
  std::string find_trouble();
  std::string describe(const ProgressBoard::Open& open) const;
  void end(const std::string& trouble);

  DeviceGroup& group_;
  const ProgressBoard& board_;
  Communicator& communicator_;
  WatchdogOptions options_;
  std::atomic<double> timeout_s_;
  std::atomic<std::int64_t> step_offset_{0};
  std::mutex mutex_;  // held while the group is asked
  std::condition_variable stop_;
  bool stopping_ = false;
  bool is_capturing_ = false;
  std::optional<ProgressBoard::Open> open_;
  std::chrono::steady_clock::time_point open_since_;
  std::thread thread_;
};

}  // namespace athanor::cuda
