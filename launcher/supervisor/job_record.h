// What the supervisor knows of the job, for itself and for everybody who asks: kept up to date by its thread, copied by
// others. To the run folder go warnings at once, faults when their attempt has ended, the status every two seconds.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string_view>
#include <thread>
#include <vector>

#include "launcher/supervisor/job_status.h"
#include "watch/heartbeat_service.h"

namespace athanor {

class JobRecord {
 public:
  /// `status`: what is known before the first attempt.
  explicit JobRecord(JobStatus status);
  /// Writes the last status.
  ~JobRecord();
  JobRecord(const JobRecord&) = delete;
  JobRecord& operator=(const JobRecord&) = delete;

  /// A copy, with the picture of the attempt in hand. Any thread.
  JobStatus status() const;

  /// `change` is given the status; what it holds of the picture is not looked at.
  void change(const std::function<void(JobStatus&)>& change);
  /// The attempt whose picture the status shows; after nullptr it shows the last one.
  void watch(std::shared_ptr<const watch::HeartbeatService> service);
  void add_fault(FaultRecord fault);
  /// The attempt has ended with `code`: its faults are complete, and go to the run folder.
  void settle_faults(int attempt, int code);

  /// Steps are made from now on / no more.
  void note_training(bool is_on);

 private:
  /// Under the lock.
  watch::JobPicture picture() const;
  void write_status();
  /// Those that are complete, in the order in which they became so.
  void write_faults();
  void keep_writing();

  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  mutable std::mutex mutex_;
  JobStatus status_;
  std::shared_ptr<const watch::HeartbeatService> service_;
  std::chrono::steady_clock::time_point training_since_;
  bool is_training_ = false;
  std::size_t faults_settled_ = 0;    ///< of the first ones the attempt has ended
  std::vector<bool> faults_written_;  ///< the writer's own

  std::condition_variable work_changed_;
  bool is_ending_ = false, are_faults_due_ = false;
  std::thread writer_;
};

/// Whether a fault of that kind ends no attempt.
bool is_warning(std::string_view kind);

/// "2026-11-27T03:08:00Z"
std::string utc_now();

}  // namespace athanor
