#include "launcher/supervisor/child.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/process.hpp>
#include <boost/process/extend.hpp>

#include "base/error.h"
#include "launcher/supervisor/descriptor_limit.h"
#include "launcher/supervisor/find_program.h"
#include "launcher/supervisor/pump.h"

namespace athanor {
namespace {

namespace process = boost::process;

/// What we listen on is nobody else's: ranks would not notice that the supervisor is gone.
void close_descriptors_on_exec() {
  constexpr unsigned kCloseOnExec = 4;  // CLOSE_RANGE_CLOEXEC, Linux 5.11
  if (syscall(SYS_close_range, 3U, ~0U, kCloseOnExec) == 0) return;
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  for (int descriptor = 3; descriptor < static_cast<int>(limit.rlim_cur); ++descriptor)
    fcntl(descriptor, F_SETFD, FD_CLOEXEC);
}

/// Runs between fork and exec.
void prepare_child(pid_t parent, const rlimit& descriptors) {
  setpgid(0, 0);
  signal(SIGPIPE, SIG_DFL);
  close_descriptors_on_exec();
  setrlimit(RLIMIT_NOFILE, &descriptors);
  prctl(PR_SET_PDEATHSIG, SIGUSR2);
  if (getppid() != parent) _exit(1);
}

}  // namespace

struct Child::State {
  process::child child;
  pid_t pid = 0;
  std::optional<int> exit_code;

  template <typename... Streams>
  static std::shared_ptr<State> start(boost::asio::io_context& io, const LauncherCommand& command,
                                      Streams&&... streams);
};

template <typename... Streams>
std::shared_ptr<Child::State> Child::State::start(boost::asio::io_context& io, const LauncherCommand& command,
                                                  Streams&&... streams) {
  const auto state = std::make_shared<State>();
  const std::string program = find_program(command.words.front());
  if (program.empty()) throw UsageError("there is no {} on PATH", command.words.front());
  process::environment environment = boost::this_process::environment();
  for (const auto& [name, value] : command.environment) environment[name] = value;
  const std::vector<std::string> arguments(command.words.begin() + 1, command.words.end());
  const auto on_exit = [state](int, const std::error_code&) {
    const int status = state->child.native_exit_code();
    state->exit_code = WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
  };
  const auto set_up = process::extend::on_exec_setup =
      [parent = getpid(), descriptors = first_descriptor_limit()](auto&) { prepare_child(parent, descriptors); };
  try {
    state->child = process::child(io, program, process::args(arguments), environment, process::std_in < process::null,
                                  std::forward<Streams>(streams)..., set_up, process::on_exit(on_exit));
  } catch (const process::process_error& error) {
    throw UsageError("cannot start {}: {}", program, error.what());
  }
  state->pid = state->child.id();
  return state;
}

Child::Child(boost::asio::io_context& io, const LauncherCommand& command, Output output)
    : state_(output == Output::shown
                 ? State::start(io, command)
                 : State::start(io, command, process::std_out > process::null, process::std_err > process::null)) {}

Child::Child(boost::asio::io_context& io, const LauncherCommand& command, std::future<std::string>& out)
    : state_(State::start(io, command, process::std_out > out, process::std_err > process::null)) {}

Child::~Child() {
  if (!state_->exit_code) {
    send(SIGKILL);
    std::error_code ignored;
    state_->child.wait(ignored);
  }
}

std::optional<int> Child::exit_code() const {
  return state_->exit_code;
}

void Child::send(int signal) {
  kill(-state_->pid, signal);
}

void Child::send_alone(int signal) {
  if (!state_->exit_code) kill(state_->pid, signal);
}

pid_t Child::pid() const {
  return state_->pid;
}

std::optional<std::string> output_of(boost::asio::io_context& io, const LauncherCommand& command, double most_s) {
  if (find_program(command.words.front()).empty()) return std::nullopt;
  std::future<std::string> out;
  Child child(io, command, out);
  const auto is_read = [&] { return out.wait_for(std::chrono::seconds(0)) == std::future_status::ready; };
  const bool ended = wait_until(io, after_seconds(most_s), [&] { return child.exit_code() && is_read(); });
  if (!ended || child.exit_code() != 0) return std::nullopt;
  return out.get();
}

}  // namespace athanor
