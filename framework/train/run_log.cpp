#include "train/run_log.h"

#include "base/log.h"

namespace athanor {

RunLog::RunLog(const std::filesystem::path& file) {
  log_to_file(file);
}

RunLog::~RunLog() {
  close_log_file();
}

LogThroughProgress::LogThroughProgress(Progress& progress) {
  log_through([&progress](std::string_view line) { progress.note(line); });
}

LogThroughProgress::~LogThroughProgress() {
  log_through({});
}

}  // namespace athanor
