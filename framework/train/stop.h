// Requests to stop: Ctrl-C, a scheduler's SIGTERM, SIGUSR2 before a time limit. They only raise a flag that the trainer
// looks at after each step.
#pragma once

#include <csignal>

namespace athanor {

/// Handles SIGINT, SIGTERM and SIGUSR2 while it lives and puts the old handlers back; one at a time. The first SIGINT
/// says on standard error what a second one does: ends the process with status 130, at once or, within kGrace_ms of the
/// first, a second later, so that a step that is nearly done can end. What follows within kSamePress_ms is the same key
/// press, delivered by both the terminal and a launcher, and does not count.
class StopSignals {
 public:
  static constexpr int kSamePress_ms = 200;
  static constexpr int kGrace_ms = 1000;

  StopSignals();
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  /// As if a signal had come, whether or not one of these lives. Any thread.
  static void request();
  /// Whether one of the signals came since construction.
  bool requested() const { return signal() != 0; }
  /// The first signal that came (SIGINT, …), or 0.
  int signal() const;
  /// Its name, "SIGINT", "a request to stop"; empty before one came.
  const char* signal_name() const;

 private:
  struct sigaction old_int_, old_term_, old_usr2_, old_alarm_;
};

}  // namespace athanor
