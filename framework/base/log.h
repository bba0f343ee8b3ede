// Messages for people: to standard error (or where log_to_console says), and with a time to the run's log.txt.
#pragma once

#include <fmt/format.h>

#include <cstdio>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

namespace athanor {

enum class LogLevel { info, warning, error };

/// Console messages go to `console` from now on; nullptr: to none. The default is standard error.
void log_to_console(std::FILE* console);
/// Console messages go through `print` (one line, not ended), so that they do not tear a progress bar; empty: undone.
void log_through(std::function<void(std::string_view line)> print);
/// Appends to `file` too, with the time, until close_log_file(). Throws StorageError.
void log_to_file(const std::filesystem::path& file);
void close_log_file();
/// Drops messages of a lower level from now on. The default is info: none.
void log_at_least(LogLevel level);
/// Put in front of every message: "rank 3" where there are several ranks; empty by default.
void set_log_prefix(std::string prefix);

/// One message, thread-safe. Prefer the three below.
void log_message(LogLevel level, std::string_view message);

/// To the log file alone: for what people see in another form (the first screen, the summary, an error that ends the
/// program).
void log_to_file_only(LogLevel level, std::string_view message);

template <typename... Args>
void log_info(fmt::format_string<Args...> format, Args&&... args) {
  log_message(LogLevel::info, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void log_warning(fmt::format_string<Args...> format, Args&&... args) {
  log_message(LogLevel::warning, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void log_error(fmt::format_string<Args...> format, Args&&... args) {
  log_message(LogLevel::error, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace athanor
