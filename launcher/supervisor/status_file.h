// RUN/status.json: a job's status for who looks at the run folder, and who wrote it when.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "launcher/supervisor/job_status.h"

namespace athanor {

/// What RUN/status.json says beside the status: who wrote it, and when.
struct StatusFile {
  JobStatus status;
  std::string host;           ///< that the supervisor runs on
  std::int64_t pid = 0;       ///< the supervisor's
  double written_unix_s = 0;  ///< by its host's clock
};

/// Puts RUN/status.json in the place of the one before; the writer is this process. False where it cannot be written: a
/// full disk must not end a job that people only cannot look at.
bool write_status_file(const std::filesystem::path& run_folder, const JobStatus& status);
/// nullopt where there is none. Throws DataError for one that is no status.
std::optional<StatusFile> read_status_file(const std::filesystem::path& run_folder);

}  // namespace athanor
