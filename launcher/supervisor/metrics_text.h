// A job's status for Prometheus: the text exposition format, version 0.0.4. docs/monitoring.md lists the metrics.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "launcher/supervisor/job_status.h"

namespace athanor {

/// What a counter has to remember: it may never fall, while a job that goes on from a checkpoint repeats steps, and
/// each attempt counts its callers from 0.
struct CounterMemory {
  std::int64_t most_samples = 0;
};

/// All metrics. `checkpoint_unix_s`: when the newest checkpoint was written, where that is known.
std::string metrics_text(const JobStatus& status, CounterMemory& memory,
                         std::optional<double> checkpoint_unix_s = std::nullopt);

}  // namespace athanor
