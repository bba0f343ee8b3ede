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
  /// The supervisor went before the job had ended: the state and the progress are those that the ranks left, the rest
  /// is what it knew.
  bool is_orphaned = false;
  std::optional<double> age_s;  ///< of what is said here
};

/// A supervisor writes at least every 15 s; one that has not for so long is taken to be in trouble.
inline constexpr double kOverdue_s = 30;

/// Throws UsageError where there is no run, DataError for a status.json that is none.
RunView look_at_run(const std::filesystem::path& run_folder);

}  // namespace athanor
