#include "launcher/supervisor/restart_policy.h"

#include <algorithm>
#include <array>
#include <csignal>
#include <cstring>
#include <utility>

namespace athanor {
namespace {

/// Where ranks end with several codes, the one that says most of what happened: the others only followed.
constexpr std::array kMostTellingFirst{ExitCode::usage,   ExitCode::data,        ExitCode::numerics, ExitCode::device,
                                       ExitCode::storage, ExitCode::interrupted, ExitCode::peer};

bool is_known(int code) {
  return code == static_cast<int>(ExitCode::done) || code == static_cast<int>(ExitCode::preempted) ||
         std::any_of(kMostTellingFirst.begin(), kMostTellingFirst.end(),
                     [&](ExitCode known) { return static_cast<int>(known) == code; });
}

std::string ending_text(const std::string& launcher, int code) {
  if (code < 0) return fmt::format("{} was ended by signal {} ({})", launcher, -code, strsignal(-code));
  return fmt::format("{} ended with code {}", launcher, code);
}

AttemptEnd end_without_words(const watch::JobPicture& picture, const std::string& launcher, int launcher_code) {
  const bool has_joined = std::any_of(picture.ranks.begin(), picture.ranks.end(),
                                      [](const auto& rank) { return rank.presence != watch::Presence::expected; });
  const bool is_failure = launcher_code != 0 && is_known(launcher_code);
  return {is_failure ? launcher_code : static_cast<int>(ExitCode::peer), false,
          ending_text(launcher, launcher_code) +
              (has_joined ? ", and no rank said how it ended" : " before any rank had joined")};
}

}  // namespace

AttemptEnd end_of_attempt(const watch::JobPicture& picture, const std::string& launcher, int launcher_code) {
  std::size_t said = 0, done = 0, preempted = 0, unknown = 0;
  for (const watch::RankPicture& rank : picture.ranks) {
    unknown += rank.presence == watch::Presence::expected;
    if (!rank.exit_code) continue;
    ++said;
    done += *rank.exit_code == static_cast<int>(ExitCode::done);
    preempted += *rank.exit_code == static_cast<int>(ExitCode::preempted);
  }
  if (said == 0) return end_without_words(picture, launcher, launcher_code);
  for (const ExitCode code : kMostTellingFirst) {
    for (const watch::RankPicture& rank : picture.ranks) {
      if (rank.exit_code == static_cast<int>(code)) {
        return {static_cast<int>(code), true, fmt::format("rank {} on {}: {}", rank.rank, rank.host, rank.last_words)};
      }
    }
    // Of ranks that never reached the supervisor the launcher alone can tell.
    if (unknown > 0 && launcher_code == static_cast<int>(code)) {
      return {launcher_code, true,
              fmt::format("{}; {} of {} ranks never reached the supervisor", ending_text(launcher, launcher_code),
                          unknown, picture.ranks.size())};
    }
  }
  if (done + unknown == picture.ranks.size() && (unknown == 0 || launcher_code == 0)) {
    // A command may go well and still have bad news to return.
    return {launcher_code > 0 && is_known(launcher_code) ? launcher_code : 0, true, ""};
  }
  // Ranks leave together after saving; one that was killed on its way out takes nothing from that.
  if (preempted > 0) return {static_cast<int>(ExitCode::preempted), true, ""};
  return {static_cast<int>(ExitCode::peer), true,
          fmt::format("{} of {} ranks ended without a word", picture.ranks.size() - said, picture.ranks.size())};
}

bool is_good(const AttemptEnd& end) {
  return end.by_ranks &&
         (end.code == static_cast<int>(ExitCode::done) || end.code == static_cast<int>(ExitCode::preempted));
}

std::int64_t furthest_step(const watch::JobPicture& picture) {
  std::int64_t step = picture.news.step;
  for (const watch::RankPicture& rank : picture.ranks) step = std::max(step, rank.activity.step - 1);
  return step;
}

bool has_begun_steps(const watch::JobPicture& picture) {
  return std::any_of(picture.ranks.begin(), picture.ranks.end(),
                     [](const watch::RankPicture& rank) { return rank.activity.step > 0; });
}

bool has_made_steps(const watch::JobPicture& picture) {
  return std::any_of(picture.ranks.begin(), picture.ranks.end(),
                     [](const watch::RankPicture& rank) { return rank.activity.times.steps > 0; });
}

RestartDecision RestartPolicy::decide(const AttemptEnd& end, std::int64_t furthest, bool made_steps, double now_s,
                                      bool restartable) {
  const auto code = static_cast<ExitCode>(end.code);
  const auto stop = [&](const std::string& why) { return RestartDecision{false, 0, end.code, why}; };
  if (code == ExitCode::done || code == ExitCode::preempted) return stop("");
  if (code == ExitCode::interrupted) return stop("interrupted");
  if (!restartable) return stop("only train goes on where it was");
  if (code == ExitCode::usage || code == ExitCode::data || code == ExitCode::numerics) {
    return stop("starting again would not mend that");
  }
  if (code == ExitCode::device && !made_steps) return stop("it does not fit, and starting again would not mend that");
  // A folder that is in use, or cannot be made: that was so before there was a job that could have left it so.
  const bool is_first = !std::exchange(has_ended_once_, true);
  if (code == ExitCode::storage && is_first && !made_steps) return stop("starting again would not mend that");
  futile_ = furthest > furthest_ ? 0 : futile_ + 1;
  furthest_ = std::max(furthest_, furthest);
  if (futile_ >= limits_.most_futile) {
    return stop(
        fmt::format("{} attempts in a row got no further than step {}; see what ended them above, or in faults.jsonl "
                    "of the run folder. "
                    "The same command goes on from there",
                    futile_, furthest_));
  }
  while (!restarts_s_.empty() && restarts_s_.front() < now_s - limits_.window_s) restarts_s_.pop_front();
  if (static_cast<int>(restarts_s_.size()) >= limits_.most_restarts) {
    return stop(
        fmt::format("it was restarted {} time{} in {:.0f} s, as often as --max-restarts allows; see what "
                    "ended it above, or in faults.jsonl of the run folder. The same command goes on from there",
                    restarts_s_.size(), restarts_s_.size() == 1 ? "" : "s", limits_.window_s));
  }
  restarts_s_.push_back(now_s);
  const double delay_s = futile_ == 0 ? 0 : static_cast<double>(1 << std::min(futile_ - 1, 20));
  return {true, std::min(delay_s, limits_.longest_backoff_s), 0, ""};
}

}  // namespace athanor
