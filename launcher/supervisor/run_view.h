// What a run folder says of its run to somebody who only looks: a supervisor's status.json, or else what the run itself
// leaves (metrics.jsonl, summary.json, checkpoints/). Reads files that others are writing; writes and locks nothing.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "launcher/supervisor/job_status.h"

namespace athanor {

struct RunView {
  /// Without a supervisor only the state (or "unknown") and the news are filled in.
  JobStatus status;
  bool is_supervised = false;
  std::string writer;            ///< "pid 71 on node1"; empty: not known
  std::optional<bool> is_alive;  ///< whether that process lives; only its own host can tell
  std::optional<double> age_s;   ///< of what is said here
};

/// Throws UsageError where there is no run, DataError for a status.json that is none.
RunView look_at_run(const std::filesystem::path& run_folder);

}  // namespace athanor
