// Whether a job that ended is started again, when, and what the supervisor returns where it is not. Plain functions of
// what is known of the attempts.
#pragma once

#include <cstdint>
#include <deque>
#include <string>

#include "base/error.h"
#include "watch/job_picture.h"

namespace athanor {

/// What the ranks said of how an attempt ended, and the launcher where they said nothing.
struct AttemptEnd {
  int code = 0;           ///< an ExitCode
  bool by_ranks = false;  ///< they said it themselves
  std::string why;        ///< "rank 1 on node2: out of memory", "mpirun ended with code 213 before any rank had joined"
};

/// `launcher`: its name. `launcher_code`: what it returned; −signal where one ended it. 0 is believed only where a rank
/// says it too: a launch that failed may return it. Of ranks that never called nothing is known but the launcher's
/// code.
AttemptEnd end_of_attempt(const watch::JobPicture& picture, const std::string& launcher, int launcher_code);

/// The ranks said that it went well, or that they saved.
bool is_good(const AttemptEnd& end);

/// Newest step of which anything is known; 0: none.
std::int64_t furthest_step(const watch::JobPicture& picture);
bool has_begun_steps(const watch::JobPicture& picture);
bool has_made_steps(const watch::JobPicture& picture);

struct RestartLimits {
  int most_restarts = 10;  ///< within the window
  double window_s = 3600;
  int most_futile = 3;  ///< attempts in a row that get no further than those before them
  double longest_backoff_s = 30;
};

struct RestartDecision {
  bool again = false;
  double delay_s = 0;
  int exit_code = 0;  ///< where not again
  std::string why;    ///< where not again and the code is neither 0 nor 75: for people
};

class RestartPolicy {
 public:
  explicit RestartPolicy(const RestartLimits& limits) : limits_(limits) {}

  /// An attempt has ended. `furthest`: its newest step; `made_steps`: it took some; `now_s`: a steady clock;
  /// `restartable`: false for commands that do not go on where they were.
  RestartDecision decide(const AttemptEnd& end, std::int64_t furthest, bool made_steps, double now_s,
                         bool restartable = true);

 private:
  RestartLimits limits_;
  std::deque<double> restarts_s_;
  std::int64_t furthest_ = 0;
  int futile_ = 0;
  bool has_ended_once_ = false;
};

}  // namespace athanor
