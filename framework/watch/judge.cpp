#include "watch/judge.h"

#include <fmt/format.h>

#include <algorithm>

#include "watch/blame.h"
#include "watch/rank_history.h"
#include "watch/stragglers.h"
#include "watch/wording.h"

namespace athanor::watch {
namespace {

/// Looks are a second apart; one that comes this long after the one before had no chance to hear the ranks.
constexpr double kLateLook_s = 3;

bool is_live(const RankPicture& rank) {
  return rank.presence == Presence::connected || rank.presence == Presence::silent;
}

std::string silence_text(const JobPicture& picture, const std::vector<int>& ranks, const char* what) {
  const RankPicture& first = picture.ranks[static_cast<std::size_t>(ranks[0])];
  return fmt::format("{} {} {}: no heartbeat for {}{}", names_of(picture, ranks), ranks.size() == 1 ? "is" : "are",
                     what, duration_text(first.beat_age_s), when_last_heard(picture, ranks, false));
}

/// Names those that are at something themselves; the others wait for them.
Finding slow_finding(const JobPicture& picture, double stalled_s, double limit_s) {
  const auto ranks_where = [&](auto is_one) {
    std::vector<int> ranks;
    for (const RankPicture& rank : picture.ranks) {
      if (is_live(rank) && is_one(rank.activity)) ranks.push_back(rank.rank);
    }
    return ranks;
  };
  std::vector<int> ranks = ranks_where([](const ActivitySnapshot& activity) { return !is_waiting(activity); });
  if (ranks.empty()) ranks = ranks_where([](const ActivitySnapshot&) { return true; });
  const RankPicture& first = picture.ranks[static_cast<std::size_t>(ranks[0])];
  return {FindingKind::slow, ranks,
          fmt::format("{} {} been {} for {}, and no rank gets on meanwhile; the job counts as stalled after {} of that",
                      names_of(picture, ranks), ranks.size() == 1 ? "has" : "have", doing(first.activity),
                      duration_text(stalled_s), duration_text(limit_s))};
}

}  // namespace

double patience_s(Phase phase, bool has_stepped, double timeout_s, double slow_phase_timeout_s) {
  const bool is_quick = phase == Phase::training || phase == Phase::evaluating;
  return is_quick && has_stepped ? timeout_s : std::max(timeout_s, slow_phase_timeout_s);
}

std::vector<Finding> Judge::look(const JobPicture& picture, double now_s) {
  if (last_look_s_ && now_s > *last_look_s_ + kLateLook_s) forgiven_until_s_ = now_s;
  last_look_s_ = now_s;
  memory_.resize(picture.ranks.size());
  timeout_s_ = timeout_of(picture);
  std::vector<Finding> findings;
  judge_silence(picture, now_s, findings);
  if (std::none_of(findings.begin(), findings.end(), [](const Finding& one) { return one.is_fatal(); })) {
    judge_progress(picture, now_s, findings);
    judge_speed(picture, now_s, findings);
  }
  return findings;
}

double Judge::timeout_of(const JobPicture& picture) const {
  if (picture.about.watchdog_timeout_s > 0) return picture.about.watchdog_timeout_s;
  std::vector<double> steps_s;
  steps_s.reserve(picture.ranks.size());
  for (const RankPicture& rank : picture.ranks) {
    if (rank.step_s > 0) steps_s.push_back(rank.step_s);
  }
  return std::max(options_.shortest_timeout_s, options_.timeout_steps * median_of(steps_s.data(), steps_s.size()));
}

void Judge::judge_silence(const JobPicture& picture, double now_s, std::vector<Finding>& findings) {
  std::vector<int> silent, back, lost;
  for (const RankPicture& rank : picture.ranks) {
    Memory& memory = memory_[static_cast<std::size_t>(rank.rank)];
    if (!is_live(rank)) {
      memory.presence = rank.presence;
      continue;
    }
    const double silence_s = std::min(rank.beat_age_s, now_s - forgiven_until_s_);
    if (silence_s >= options_.silence_lost_s) {
      if (memory.presence != Presence::lost) lost.push_back(rank.rank);
      memory.presence = Presence::lost;
    } else if (silence_s >= options_.silence_warning_s) {
      if (memory.presence != Presence::silent) silent.push_back(rank.rank);
      memory.presence = Presence::silent;
    } else {
      if (memory.presence == Presence::silent) back.push_back(rank.rank);
      memory.presence = Presence::connected;
    }
  }
  if (!lost.empty()) findings.push_back({FindingKind::lost, lost, silence_text(picture, lost, "lost")});
  if (!silent.empty()) findings.push_back({FindingKind::silent, silent, silence_text(picture, silent, "silent")});
  if (!back.empty()) {
    findings.push_back(
        {FindingKind::back, back,
         fmt::format("{} {} back: heartbeats arrive again", names_of(picture, back), back.size() == 1 ? "is" : "are")});
  }
}

void Judge::judge_progress(const JobPicture& picture, double now_s, std::vector<Finding>& findings) {
  double stalled_s = now_s - forgiven_until_s_;
  double limit_s = timeout_s_;
  const bool has_stepped =
      std::any_of(picture.ranks.begin(), picture.ranks.end(), [](const RankPicture& rank) { return rank.step_s > 0; });
  bool is_any = false;
  for (const RankPicture& rank : picture.ranks) {
    if (!is_live(rank)) continue;
    is_any = true;
    const Phase phase = rank.activity.phase;
    if (phase == Phase::unwatched) return;
    limit_s = std::max(limit_s, patience_s(phase, has_stepped, timeout_s_, options_.slow_phase_timeout_s));
    stalled_s = std::min(stalled_s, rank.stalled_s);
  }
  const bool is_slow = is_any && stalled_s >= timeout_s_;
  if (!is_slow || stalled_s < limit_s) {
    is_stalled_ = false;
    if (is_slow && !said_slow_) {
      findings.push_back(slow_finding(picture, stalled_s, limit_s));
    }
    said_slow_ = is_slow;
    return;
  }
  if (is_stalled_) return;
  is_stalled_ = true;
  const Blame blame = find_blame(picture);
  findings.push_back({FindingKind::stalled, blame.ranks,
                      fmt::format("the job has made no progress for {}: {}", duration_text(stalled_s), blame.text)});
}

void Judge::judge_speed(const JobPicture& picture, double now_s, std::vector<Finding>& findings) {
  const std::vector<Slow> slow = find_slow(picture, options_);
  for (std::size_t i = 0; i < slow.size(); ++i) {
    const RankPicture& rank = picture.ranks[i];
    Memory& memory = memory_[i];
    const bool is_network = slow[i].what == Slowness::network;
    if (slow[i].what == Slowness::none) {
      // Only what was measured over again since counts as an end: a rank that evaluates or saves makes no steps.
      if (rank.activity.phase == Phase::training) memory.slow_since_step = -1;
      if (memory.slow_since_step < 0) memory.is_straggler = false;
      continue;
    }
    if (memory.slow_since_step < 0) {
      memory.slow_since_step = rank.activity.times.steps;
      memory.slow_since_s = now_s;
    }
    const bool is_for_long = rank.activity.times.steps - memory.slow_since_step >= options_.straggler_steps ||
                             (is_network && now_s - memory.slow_since_s >= options_.slow_network_s);
    if (!is_for_long || memory.is_straggler) continue;
    memory.is_straggler = true;
    findings.push_back({FindingKind::straggler, {rank.rank}, slow[i].text});
  }
}

}  // namespace athanor::watch
