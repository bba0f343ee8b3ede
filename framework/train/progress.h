// What a person sees while a network trains: one line that is redrawn on a terminal, plain lines now and then
// elsewhere.
#pragma once

#include <fmt/format.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <mutex>
#include <string>
#include <string_view>

#include "train/metrics.h"
#include "train/recent_rate.h"

namespace athanor {

/// Whether `out` is a terminal that can redraw a line (TERM=dumb cannot).
bool is_terminal(std::FILE* out);

/// Terminal: at most ten updates a second. Elsewhere: a line after 10 s, then at intervals that grow to 60 s, and one
/// at the end of every epoch. Colours follow NO_COLOR. Calls may come from any thread.
class Progress {
 public:
  using Clock = std::chrono::steady_clock;

  /// `total_steps` counts from step 0 of the run, also where the run goes on from a checkpoint. `out` nullptr: silent.
  Progress(bool terminal, std::FILE* out, std::int64_t total_steps, std::int64_t steps_per_epoch, std::int64_t epochs);
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  ~Progress() { finish(); }

  /// After every update; costs a lock and a clock reading unless something is due.
  void step(const StepLine& line);
  /// After every evaluation: its accuracy stays in the bar, and a line of its own says it.
  void evaluation(const EvalLine& line);
  /// A message for people, above the bar.
  void note(std::string_view message);
  /// Ends the bar; later calls print nothing but notes.
  void finish();

  /// Another clock than the steady one, for tests.
  void set_clock(Clock::time_point (*clock)()) { clock_ = clock; }

 private:
  bool epoch_ended() const { return steps_per_epoch_ > 0 && last_.step % steps_per_epoch_ == 0; }
  /// Whether one rank holds up the others by so much that a person should know.
  bool lags() const { return last_.slowest_lag_ms > 0.05 * last_.step_ms; }
  void update_rates(Clock::time_point now);
  double seconds_left(Clock::time_point now) const;
  void print_plain(Clock::time_point now);
  void draw(Clock::time_point now);
  void print_line(std::string_view text);

  const bool terminal_;
  const bool colour_;
  std::FILE* const out_;
  const std::int64_t total_steps_, steps_per_epoch_, epochs_;
  Clock::time_point (*clock_)() = &Clock::now;

  std::mutex mutex_;
  StepLine last_;
  std::string slowest_host_;                                       ///< of last_, which does not keep it
  double accuracy_ = -1;                                           ///< of the last evaluation; −1 before one
  std::int64_t first_step_ = -1;                                   ///< the first step seen; −1 before it
  Clock::time_point first_time_;                                   ///< when it ended
  Clock::time_point shown_;                                        ///< when something was last shown
  double window_ms_ = 0, window_wait_ms_ = 0, window_images_ = 0;  ///< sums since then
  RecentRate images_rate_, wait_rate_;                             ///< as shown; seconds waited a second
  double plain_interval_s_ = 0;
  bool drawn_ = false, finished_ = false;  ///< finished from the start where there is nowhere to print
  fmt::memory_buffer line_;
};

}  // namespace athanor
