#include "train/stop.h"

#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <string_view>

#include "base/error.h"

namespace athanor {
namespace {

// A handler can only reach what is global. Lock-free atomics are safe inside one.
std::atomic<int> first_signal{0};
std::atomic<std::int64_t> first_interrupt_ms{-1};
std::atomic<bool> installed{false};
static_assert(std::atomic<int>::is_always_lock_free && std::atomic<std::int64_t>::is_always_lock_free);

std::int64_t now_ms() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::int64_t>(now.tv_sec) * 1000 + now.tv_nsec / 1000000;
}

void end_now(int) {
  _exit(static_cast<int>(ExitCode::interrupted));
}

void handle_interrupt() {
  std::int64_t first = -1;
  const std::int64_t now = now_ms();
  if (first_interrupt_ms.compare_exchange_strong(first, now)) {
    constexpr std::string_view kAdvice = "\nathanor: stopping after this step; press Ctrl-C again to end at once\n";
    [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, kAdvice.data(), kAdvice.size());
  } else if (now - first > StopSignals::kGrace_ms) {
    end_now(SIGINT);
  } else if (now - first > StopSignals::kSamePress_ms) {
    alarm(1);
  }
}

/// No signal: somebody who watches the job asked.
constexpr int kRequest = -1;

void note(int signal) {
  int none = 0;
  first_signal.compare_exchange_strong(none, signal);
}

void handle(int signal) {
  const int saved_errno = errno;
  note(signal);
  if (signal == SIGINT) handle_interrupt();
  errno = saved_errno;
}

}  // namespace

StopSignals::StopSignals() {
  ATHANOR_CHECK(!installed.exchange(true), "stop signals are handled already");
  first_signal = 0;
  first_interrupt_ms = -1;
  struct sigaction action {};
  action.sa_handler = handle;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, &old_int_);
  sigaction(SIGTERM, &action, &old_term_);
  sigaction(SIGUSR2, &action, &old_usr2_);
  action.sa_handler = end_now;
  sigaction(SIGALRM, &action, &old_alarm_);
}

StopSignals::~StopSignals() {
  sigaction(SIGINT, &old_int_, nullptr);
  sigaction(SIGTERM, &old_term_, nullptr);
  sigaction(SIGUSR2, &old_usr2_, nullptr);
  alarm(0);
  sigaction(SIGALRM, &old_alarm_, nullptr);
  installed = false;
}

void StopSignals::request() {
  note(kRequest);
}

int StopSignals::signal() const {
  return first_signal.load(std::memory_order_relaxed);
}

const char* StopSignals::signal_name() const {
  switch (signal()) {
    case SIGINT:
      return "SIGINT";
    case SIGTERM:
      return "SIGTERM";
    case SIGUSR2:
      return "SIGUSR2";
    case kRequest:
      return "a request to stop";
    default:
      return "";
  }
}

}  // namespace athanor
