#include "train/stop.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <functional>
#include <memory>

namespace athanor {
namespace {

/// Sleeps until a signal asks to stop; what comes before it looks is held back, so that none is missed. A minute
/// without one ends the process.
class StopWait {
 public:
  StopWait() {
    alarm(60);
    sigset_t held;
    sigemptyset(&held);
    for (const int signal : {SIGINT, SIGTERM, SIGUSR2}) sigaddset(&held, signal);
    sigprocmask(SIG_BLOCK, &held, &before_);
  }
  ~StopWait() { sigprocmask(SIG_SETMASK, &before_, nullptr); }
  void operator()(const StopSignals& stop) const {
    while (!stop.requested()) sigsuspend(&before_);
  }

 private:
  sigset_t before_;
};

/// A child process that runs `act(tell)` and exits with what it returns; `tell()` wakes the parent.
class Child {
 public:
  explicit Child(const std::function<int(const std::function<void()>& tell)>& act) {
    EXPECT_EQ(pipe(pipe_), 0);
    pid_ = fork();
    if (pid_ != 0) return;
    _exit(act([this] {
      if (write(pipe_[1], "x", 1) != 1) _exit(99);
    }));
  }
  ~Child() {
    close(pipe_[0]);
    close(pipe_[1]);
  }
  void hear() {
    char byte = 0;
    EXPECT_EQ(read(pipe_[0], &byte, 1), 1);
  }
  void send(int signal) { kill(pid_, signal); }
  /// Leaves it to be reaped.
  bool ends_within(int timeout_ms) {
    pollfd ended{static_cast<int>(syscall(SYS_pidfd_open, pid_, 0)), POLLIN, 0};
    const bool is_over = poll(&ended, 1, timeout_ms) == 1;
    close(ended.fd);
    return is_over;
  }
  int wait_status() {
    int status = 0;
    waitpid(pid_, &status, 0);
    return status;
  }

 private:
  int pipe_[2];
  pid_t pid_ = -1;
};

TEST(StopSignals, EachSignalAsksToStopAndTheProcessGoesOn) {
  for (const int signal : {SIGINT, SIGTERM, SIGUSR2}) {
    Child child([&](const auto& tell) {
      const StopSignals stop;
      if (stop.requested()) return 1;
      const StopWait wait;
      tell();
      wait(stop);
      return stop.signal() == signal ? 0 : 2;
    });
    child.hear();
    child.send(signal);
    const int status = child.wait_status();
    ASSERT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), 0) << strsignal(signal);
  }
}

TEST(StopSignals, ASecondInterruptEndsAStuckProcessWith130) {
  Child child([](const auto& tell) {
    const StopSignals stop;
    {
      const StopWait wait;
      tell();
      wait(stop);
    }
    tell();
    for (;;) pause();
    return 0;
  });
  child.hear();
  child.send(SIGINT);
  child.hear();
  // What follows at once is the same key press: the process lives on.
  child.send(SIGINT);
  child.send(SIGTERM);
  EXPECT_FALSE(child.ends_within(StopSignals::kSamePress_ms + 100));
  // One more press, within a second of the first or not: it has to be enough.
  child.send(SIGINT);
  EXPECT_TRUE(child.ends_within(5000));
  child.send(SIGKILL);  // does nothing to one that has ended
  const int status = child.wait_status();
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 130);
}

TEST(StopSignals, TheOldHandlersComeBack) {
  Child child([](const auto&) {
    std::signal(SIGTERM, SIG_IGN);
    { const StopSignals stop; }
    raise(SIGTERM);
    struct sigaction now;
    sigaction(SIGINT, nullptr, &now);
    return now.sa_handler == SIG_DFL ? 0 : 1;
  });
  const int status = child.wait_status();
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST(StopSignals, WhoeverWatchesTheJobMayAskToo) {
  const StopSignals stop;
  StopSignals::request();
  EXPECT_TRUE(stop.requested());
  EXPECT_STREQ(stop.signal_name(), "a request to stop");
}

TEST(StopSignals, EachStartsWithoutARequest) {
  Child child([](const auto&) {
    {
      const StopSignals stop;
      raise(SIGUSR2);
      if (!stop.requested()) return 1;
    }
    const StopSignals stop;
    return stop.requested() ? 2 : 0;
  });
  EXPECT_EQ(WEXITSTATUS(child.wait_status()), 0);
}

}  // namespace
}  // namespace athanor
