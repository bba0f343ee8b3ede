// The two kinds of failure. What the world does wrong (a bad file, a full disk, a lost peer) is a typed exception that
// carries what, where and what to do next, and the exit code that scripts rely on. What our own code does wrong is a
// broken invariant: ATHANOR_CHECK aborts with file and line.
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace athanor {

/// What a rank reports to its launcher. Scripts rely on these numbers.
enum class ExitCode : int {
  done = 0,
  usage = 2,         ///< bad command line or recipe
  data = 3,          ///< a data set is missing or damaged
  storage = 4,       ///< checkpoint or disk
  device = 5,        ///< device, instruction set or memory
  peer = 6,          ///< a peer was lost or communication failed
  numerics = 7,      ///< non-finite numbers, or ranks whose weights differ
  preempted = 75,    ///< stopped on request after saving: run me again
  interrupted = 130  ///< interrupted without saving
};

/// Base of every expected failure. `what()` says what is wrong, where, and what to do next.
class Error : public std::runtime_error {
 public:
  Error(ExitCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ExitCode code() const { return code_; }

 private:
  ExitCode code_;
};

/// One class per exit code, so that a caller can catch what it can mend.
template <ExitCode kCode>
class ErrorOf : public Error {
 public:
  explicit ErrorOf(const std::string& message) : Error(kCode, message) {}
  template <typename... Args>
  explicit ErrorOf(fmt::format_string<Args...> format, Args&&... args) requires(sizeof...(Args) > 0)
      : Error(kCode, fmt::format(format, std::forward<Args>(args)...)) {}
};

using UsageError = ErrorOf<ExitCode::usage>;
using DataError = ErrorOf<ExitCode::data>;
using StorageError = ErrorOf<ExitCode::storage>;
using DeviceError = ErrorOf<ExitCode::device>;
using PeerError = ErrorOf<ExitCode::peer>;
using NumericsError = ErrorOf<ExitCode::numerics>;
using Interrupted = ErrorOf<ExitCode::interrupted>;

/// Prints the broken invariant and aborts. Called by ATHANOR_CHECK only.
[[noreturn]] void check_failed(const char* file, int line, const char* condition, const std::string& message);

}  // namespace athanor

/// Aborts with file, line and a formatted message when an invariant of our own code is broken; never for bad input.
#define ATHANOR_CHECK(condition, ...)                                                         \
  do {                                                                                        \
    if (!(condition)) [[unlikely]]                                                            \
      ::athanor::check_failed(__FILE__, __LINE__, #condition, ::fmt::format("" __VA_ARGS__)); \
  } while (false)
