// What the supervisor knows of a job over all its attempts: the one document behind status.json in the run folder, the
// status page, /status, /metrics and `athanor status`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "watch/job_picture.h"

namespace athanor {

/// Something that ended an attempt, or nearly did.
struct FaultRecord {
  std::string time;  ///< UTC, "2026-11-27T03:08:00Z"
  int attempt = 1;
  std::int64_t step = 0;  ///< newest step known then
  std::string kind;       ///< "lost", "stalled", "failed", "launcher"; warnings: "straggler", "silent"
  std::vector<std::string> hosts;
  std::string text;   ///< one sentence
  int exit_code = 0;  ///< of the attempt; 0 where it went on
};

struct JobStatus {
  std::string state = "starting";  ///< "starting", "running", "restarting", "stopping", "ended"
  std::string launcher;            ///< "mpirun", "srun"
  std::vector<std::string> hosts;  ///< that the attempt in hand runs on
  std::vector<std::string> left_out_hosts;
  int attempt = 1, restarts = 0, max_restarts = 0;
  double uptime_s = 0;           ///< since the supervisor started
  double last_restart_s = 0;     ///< from the newest fault's detection to the next step begun; 0: none yet
  double training_s = 0;         ///< of the uptime, in which steps were made
  std::optional<int> exit_code;  ///< when it has ended
  std::string interval_advice;   ///< what checkpoint interval the measured figures suggest; empty: too early
  std::vector<FaultRecord> faults;
  watch::JobPicture picture;  ///< of the attempt in hand
};

}  // namespace athanor
