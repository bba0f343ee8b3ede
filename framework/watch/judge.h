// What a picture of the job means: who is silent, lost, behind, slow. Plain functions of pictures and the time, so that
// they are tested without a network.
#pragma once

#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "watch/job_picture.h"

namespace athanor::watch {

/// Starting, saving and ending wait for disks and data; of a first step nobody knows how long it takes.
constexpr double kSlowPhaseTimeout_s = 1800;

/// Seconds that a rank may take to get on: `timeout_s`, or the longer one where `phase` waits for disks and data, or
/// no step has been made yet.
double patience_s(Phase phase, bool has_stepped, double timeout_s, double slow_phase_timeout_s = kSlowPhaseTimeout_s);

struct JudgeOptions {
  double silence_warning_s = 3;
  double silence_lost_s = 10;
  double shortest_timeout_s = 30;  ///< auto: max(this, steps × median step)
  double timeout_steps = 20;
  double slow_phase_timeout_s = kSlowPhaseTimeout_s;
  double straggler_ratio = 1.5;
  std::int64_t straggler_steps = 50;
  double slow_network_s = 20;  ///< as long as straggler_steps: steps over a slow network take seconds
};

/// `slow`: no progress for the timeout, but in a phase that may take longer.
enum class FindingKind : std::uint8_t { silent, back, lost, slow, stalled, straggler };

struct Finding {
  FindingKind kind = FindingKind::silent;
  std::vector<int> ranks;  ///< the culprits
  std::string text;        ///< one sentence for people: rank, host, what, since when
  bool is_fatal() const { return kind == FindingKind::lost || kind == FindingKind::stalled; }
};

/// Looked at about every second. Says each thing once: a rank that is silent again after it was back is news again.
class Judge {
 public:
  explicit Judge(const JudgeOptions& options = {}) : options_(options) {}

  /// `now_s`: a steady clock. A look that comes late (this process was paused, its machine asleep) forgives: nobody
  /// could be heard in between.
  std::vector<Finding> look(const JobPicture& picture, double now_s);
  /// Seconds without progress after which the job is stalled, as of the last look.
  double timeout_s() const { return timeout_s_; }

 private:
  struct Memory {
    Presence presence = Presence::expected;
    std::int64_t slow_since_step = -1;  ///< −1: is not slow
    double slow_since_s = 0;
    bool is_straggler = false;
  };
  double timeout_of(const JobPicture& picture) const;
  void judge_silence(const JobPicture& picture, double now_s, std::vector<Finding>& findings);
  void judge_progress(const JobPicture& picture, double now_s, std::vector<Finding>& findings);
  void judge_speed(const JobPicture& picture, double now_s, std::vector<Finding>& findings);

  JudgeOptions options_;
  double timeout_s_ = 0;
  std::optional<double> last_look_s_;
  double forgiven_until_s_ = -std::numeric_limits<double>::infinity();  ///< silence and standstill count from here
  bool said_slow_ = false;
  bool is_stalled_ = false;
  std::vector<Memory> memory_;
};

}  // namespace athanor::watch
