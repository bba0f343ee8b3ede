// A rank in a process of its own, which can be killed and stopped. Made before this process has threads.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <string>

#include "tests/watch/job.h"

namespace athanor::watch::testing {

/// Lines between this process and one that it forked.
class Pipe {
 public:
  Pipe() {
    if (::pipe2(ends_, O_CLOEXEC) != 0) std::abort();
  }
  ~Pipe() {
    ::close(ends_[0]);
    ::close(ends_[1]);
  }
  void say(const std::string& line) const {
    const std::string text = line + "\n";
    if (::write(ends_[1], text.data(), text.size()) != static_cast<ssize_t>(text.size())) std::abort();
  }
  /// Empty: none within the time.
  std::string hear(double seconds = 20) const {
    std::string line;
    const auto until = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
    for (char letter = 0;;) {
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
      pollfd can_read{ends_[0], POLLIN, 0};
      if (left.count() <= 0 || ::poll(&can_read, 1, static_cast<int>(left.count())) <= 0) return {};
      if (::read(ends_[0], &letter, 1) != 1) return {};
      if (letter == '\n') return line;
      line += letter;
    }
  }

 private:
  int ends_[2];
};

class ForkedProcess {
 public:
  /// `act` gets what this process says and what it hears; what it returns is its exit code.
  explicit ForkedProcess(const std::function<int(const Pipe& from_parent, const Pipe& to_parent)>& act) {
    pid_ = ::fork();
    if (pid_ < 0) std::abort();
    if (pid_ == 0) _exit(act(to_child_, to_parent_));
  }
  ~ForkedProcess() {
    if (!status_) {
      send(SIGKILL);
      wait();
    }
  }
  ForkedProcess(const ForkedProcess&) = delete;
  ForkedProcess& operator=(const ForkedProcess&) = delete;

  pid_t pid() const { return pid_; }
  void say(const std::string& line) const { to_child_.say(line); }
  std::string hear(double seconds = 20) const { return to_parent_.hear(seconds); }
  void send(int signal) const { ::kill(pid_, signal); }
  /// Its exit code, or 128 + the signal that ended it; −1 where it has not ended in time.
  int wait(double seconds = 20) {
    const bool has_ended = comes_true(
        [this] {
          int status = 0;
          if (!status_ && ::waitpid(pid_, &status, WNOHANG) == pid_) status_ = status;
          return status_.has_value();
        },
        seconds);
    if (!has_ended) return -1;
    return WIFEXITED(*status_) ? WEXITSTATUS(*status_) : 128 + WTERMSIG(*status_);
  }

 private:
  Pipe to_child_, to_parent_;
  pid_t pid_ = -1;
  std::optional<int> status_;
};

/// Hears the invitation, joins, says "joined", gets on until there is a verdict, says it and ends with its code.
inline int train_until_verdict(const ClientOptions& options, const Pipe& from_parent, const Pipe& to_parent) {
  Rank rank(here(invitation_from(from_parent.hear())), options);
  to_parent.say("joined");
  rank.activity->set_phase(Phase::training);
  for (std::int64_t step = 1;; ++step) {
    rank.activity->begin_step(step);
    if (const auto verdict = rank.client->verdict()) {
      to_parent.say(verdict->message);
      return static_cast<int>(verdict->code);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

/// `ranks` processes that train_until_verdict, and a service in this one.
struct ForkedJob {
  explicit ForkedJob(const ServiceOptions& options) {
    for (int rank = 0; rank < options.world_size; ++rank) {
      ranks.push_back(std::make_unique<ForkedProcess>([rank, &options](const Pipe& in, const Pipe& out) {
        return train_until_verdict(quick_client(rank, options.world_size), in, out);
      }));
    }
    service = std::make_unique<HeartbeatService>(options, [this](const Event& event) { events.add(event); });
    for (const auto& rank : ranks) rank->say(to_text(service->invitation()));
    for (const auto& rank : ranks) {
      if (rank->hear() != "joined") std::abort();
    }
    comes_true([this] {
      const JobPicture picture = service->picture();
      return std::all_of(picture.ranks.begin(), picture.ranks.end(),
                         [](const RankPicture& rank) { return rank.activity.step > 0; });
    });
  }
  ForkedProcess& rank(int number) { return *ranks[static_cast<std::size_t>(number)]; }

  Events events;
  std::unique_ptr<HeartbeatService> service;
  std::vector<std::unique_ptr<ForkedProcess>> ranks;
};

}  // namespace athanor::watch::testing
