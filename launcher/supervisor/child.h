// The launcher as a process of the supervisor: in a group of its own, so that a terminal's Ctrl-C reaches the
// supervisor alone, and told to save (SIGUSR2) by the kernel where the supervisor is killed.
#pragma once

#include <sys/types.h>

#include <boost/asio/io_context.hpp>
#include <future>
#include <memory>
#include <optional>
#include <string>

#include "launcher/supervisor/launcher_command.h"

namespace athanor {

enum class Output { shown, dropped };

class Child {
 public:
  /// Starts it. Throws UsageError where there is no such program. The thread that starts it must outlive it: to the
  /// kernel it is the parent.
  Child(boost::asio::io_context& io, const LauncherCommand& command, Output output = Output::shown);
  /// Its standard output goes to `out`.
  Child(boost::asio::io_context& io, const LauncherCommand& command, std::future<std::string>& out);
  /// Kills what is left of it and its group.
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  /// What it returned, −signal where one ended it; none: it runs. Known after the handlers of `io` have run.
  std::optional<int> exit_code() const;
  /// To its process group.
  void send(int signal);
  /// To the process itself, where it runs: what it passes on would end the others of its group.
  void send_alone(int signal);
  pid_t pid() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

/// What a command prints; none: it failed, or took longer than `most_s`.
std::optional<std::string> output_of(boost::asio::io_context& io, const LauncherCommand& command, double most_s);

}  // namespace athanor
