// Where the messages of a run go, for as long as it lasts: to its log.txt, and to people past the progress bar.
#pragma once

#include <filesystem>

#include "train/progress.h"

namespace athanor {

class RunLog {
 public:
  /// Appends messages to `file`, with the time. Throws StorageError where it cannot be written.
  explicit RunLog(const std::filesystem::path& file);
  ~RunLog();
  RunLog(const RunLog&) = delete;
  RunLog& operator=(const RunLog&) = delete;
};

/// Sends messages for people through `progress` while it lives.
class LogThroughProgress {
 public:
  explicit LogThroughProgress(Progress& progress);
  ~LogThroughProgress();
  LogThroughProgress(const LogThroughProgress&) = delete;
  LogThroughProgress& operator=(const LogThroughProgress&) = delete;
};

}  // namespace athanor
