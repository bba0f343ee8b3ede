#include "base/log.h"

#include <spdlog/logger.h>
#include <spdlog/sinks/basic_file_sink.h>

#include <memory>
#include <mutex>

#include "base/error.h"
#include "base/print.h"

namespace athanor {
namespace {

struct LogState {
  std::mutex mutex;
  std::FILE* console = stderr;
  std::function<void(std::string_view)> print;
  std::shared_ptr<spdlog::logger> file;
  std::string prefix;
  LogLevel least = LogLevel::info;
};

/// One for the process: messages come from places that know of no run.
LogState& state() {
  static LogState log;
  return log;
}

spdlog::level::level_enum spdlog_level(LogLevel level) {
  switch (level) {
    case LogLevel::warning:
      return spdlog::level::warn;
    case LogLevel::error:
      return spdlog::level::err;
    case LogLevel::info:
      break;
  }
  return spdlog::level::info;
}

std::string_view console_word(LogLevel level) {
  return level == LogLevel::warning ? "warning: " : level == LogLevel::error ? "error: " : "";
}

}  // namespace

void log_to_console(std::FILE* console) {
  const std::lock_guard lock(state().mutex);
  state().console = console;
}

void log_through(std::function<void(std::string_view line)> print) {
  const std::lock_guard lock(state().mutex);
  state().print = std::move(print);
}

void log_to_file(const std::filesystem::path& file) {
  std::shared_ptr<spdlog::logger> logger;
  try {
    logger = std::make_shared<spdlog::logger>(
        "athanor", std::make_shared<spdlog::sinks::basic_file_sink_mt>(file.string(), false));
  } catch (const spdlog::spdlog_ex& error) {
    throw StorageError("cannot write {}: {}", file.string(), error.what());
  }
  logger->set_pattern("%Y-%m-%d %H:%M:%S.%e %l %v");
  // Messages are few, and the last one before a crash is the one that is looked for.
  logger->flush_on(spdlog::level::info);
  const std::lock_guard lock(state().mutex);
  state().file = std::move(logger);
}

void close_log_file() {
  const std::lock_guard lock(state().mutex);
  state().file.reset();
}

void log_at_least(LogLevel level) {
  const std::lock_guard lock(state().mutex);
  state().least = level;
}

void set_log_prefix(std::string prefix) {
  const std::lock_guard lock(state().mutex);
  state().prefix = prefix.empty() ? "" : prefix + ": ";
}

void log_to_file_only(LogLevel level, std::string_view message) {
  LogState& log = state();
  const std::lock_guard lock(log.mutex);
  if (log.file && level >= log.least) log.file->log(spdlog_level(level), "{}{}", log.prefix, message);
}

void log_message(LogLevel level, std::string_view message) {
  LogState& log = state();
  const std::lock_guard lock(log.mutex);
  if (level < log.least) return;
  if (log.file) log.file->log(spdlog_level(level), "{}{}", log.prefix, message);
  const std::string line = fmt::format("{}{}{}", log.prefix, console_word(level), message);
  if (log.print) {
    log.print(line);
  } else if (log.console != nullptr) {
    print_or_lose(log.console, "{}\n", line);
    std::fflush(log.console);
  }
}

}  // namespace athanor
