#include "launcher/supervisor/status_text.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "base/error.h"
#include "train/text_table.h"
#include "train/units_text.h"

namespace athanor {
namespace {

using watch::Presence;
using watch::RankPicture;

constexpr std::size_t kMostRanks = 64, kMostFaults = 10;

/// What others wrote may not steer the terminal.
std::string plain(std::string text) {
  for (char& each : text) {
    if (static_cast<unsigned char>(each) < 0x20 || each == 0x7f) each = ' ';
  }
  return text;
}

std::string milliseconds_text(double seconds) {
  return seconds > 0 ? fmt::format("{:.1f} ms", seconds * 1e3) : "-";
}

std::string state_text(const JobStatus& status) {
  if (status.state != "ended") return status.state;
  if (!status.exit_code) return "ended";
  if (*status.exit_code == static_cast<int>(ExitCode::done)) return "done";
  if (*status.exit_code == static_cast<int>(ExitCode::preempted)) return "stopped on request (75): start it again";
  return fmt::format("ended with exit code {}", *status.exit_code);
}

std::string head_text(const RunView& view) {
  const JobStatus& status = view.status;
  std::string text = fmt::format("{}: {}", plain(status.picture.about.name), state_text(status));
  if (!view.is_supervised) return text + '\n';
  if (!status.launcher.empty()) text += fmt::format(", {}", status.launcher);
  if (!status.hosts.empty()) text += fmt::format(" on {}", plain(fmt::format("{}", fmt::join(status.hosts, ", "))));
  if (!status.left_out_hosts.empty()) {
    text += fmt::format(", without {}", plain(fmt::format("{}", fmt::join(status.left_out_hosts, ", "))));
  }
  text += fmt::format("\nattempt {}, {} of {}", status.attempt, plural(status.restarts, "restart"),
                      count_text(status.max_restarts));
  if (status.last_restart_s > 0) text += fmt::format(", the last took {}", duration_text(status.last_restart_s));
  text += fmt::format("; up {}", duration_text(status.uptime_s));
  if (status.uptime_s > 0) {
    text += fmt::format(", {:.1f} % of it training", 100 * std::min(1.0, status.training_s / status.uptime_s));
  }
  return text + '\n';
}

std::string progress_text(const RunView& view) {
  const watch::RunAbout& about = view.status.picture.about;
  const watch::RunNews& news = view.status.picture.news;
  if (news.step <= 0) return "no step yet\n";
  std::string text = fmt::format("step {}", count_text(news.step));
  if (about.total_steps > 0) {
    text += fmt::format(" of {} ({:.1f} %)", count_text(about.total_steps),
                        100.0 * static_cast<double>(news.step) / static_cast<double>(about.total_steps));
  }
  text += fmt::format(", epoch {}, loss {}", news.epoch, number_text(news.loss));
  if (news.accuracy >= 0) text += fmt::format(", accuracy {:.2f} %", news.accuracy * 100);
  if (news.images_per_s > 0) {
    text += fmt::format(", {} images/s", count_text(std::llround(std::min(news.images_per_s, 1e15))));
    if (about.batch > 0 && about.total_steps > news.step && view.status.state != "ended") {
      const double left_s = static_cast<double>((about.total_steps - news.step) * about.batch) / news.images_per_s;
      text += fmt::format(", about {} left", duration_text(left_s));
    }
  }
  return text + '\n';
}

std::string checkpoint_text(const RunView& view) {
  const watch::RunNews& news = view.status.picture.news;
  const std::int64_t every = view.status.picture.about.checkpoint_every_steps;
  std::string text = news.checkpoint_step < 0 ? "no checkpoint yet"
                                              : fmt::format("checkpoint of step {}", count_text(news.checkpoint_step));
  if (every > 0) text += fmt::format(", every {}", plural(every, "step"));
  if (news.checkpoint_stall_s > 0) {
    text += fmt::format(", a save holds up training for {}", milliseconds_text(news.checkpoint_stall_s));
  }
  if (news.failed_saves > 0) text += fmt::format("; {} failed", plural(news.failed_saves, "save"));
  text += '\n';
  if (!view.status.interval_advice.empty()) text += plain(view.status.interval_advice) + '\n';
  return text;
}

int trouble(Presence presence) {
  switch (presence) {
    case Presence::lost:
      return 3;
    case Presence::silent:
      return 2;
    case Presence::expected:
      return 1;
    default:
      return 0;
  }
}

/// All, or those most in trouble; by rank.
std::vector<const RankPicture*> shown_ranks(const std::vector<RankPicture>& ranks) {
  std::vector<const RankPicture*> shown;
  shown.reserve(ranks.size());
  for (const RankPicture& rank : ranks) shown.push_back(&rank);
  if (shown.size() <= kMostRanks) return shown;
  std::stable_sort(shown.begin(), shown.end(), [](const RankPicture* left, const RankPicture* right) {
    return std::pair(trouble(left->presence), left->stalled_s) > std::pair(trouble(right->presence), right->stalled_s);
  });
  shown.resize(kMostRanks);
  std::sort(shown.begin(), shown.end(), [](auto* left, auto* right) { return left->rank < right->rank; });
  return shown;
}

std::string rank_state_text(const RankPicture& rank) {
  if (rank.exit_code) return fmt::format("left with {}", *rank.exit_code);
  if (rank.presence != Presence::connected) return std::string(watch::name_of(rank.presence));
  const watch::Phase phase = rank.activity.phase;
  return std::string(phase == watch::Phase::unwatched ? "not begun" : watch::name_of(phase));
}

std::string operation_text(const RankPicture& rank) {
  if (!rank.last_words.empty()) return plain(rank.last_words);
  const watch::Collective& call = rank.activity.newest;
  if (call.name[0] == '\0') return "";
  return fmt::format("{} {} {}", call.ended_ns == 0 ? "in" : "after", plain(call.name.data()),
                     count_text(call.sequence));
}

std::string ranks_text(const std::vector<RankPicture>& ranks) {
  if (ranks.empty()) return "";
  TextTable table(
      {"rank", "host", "state", "step", "beat", "no progress", "a step", "compute", "data", "others", "operation"},
      {0, 3, 4, 5, 6, 7, 8, 9});
  const std::vector<const RankPicture*> shown = shown_ranks(ranks);
  for (const RankPicture* rank : shown) {
    table.add({std::to_string(rank->rank), plain(rank->host), rank_state_text(*rank), count_text(rank->activity.step),
               rank->presence == Presence::expected ? "-" : duration_text(rank->beat_age_s),
               duration_text(rank->stalled_s), milliseconds_text(rank->step_s), milliseconds_text(rank->compute_s),
               milliseconds_text(rank->data_wait_s), milliseconds_text(rank->comm_wait_s), operation_text(*rank)});
  }
  std::string text = '\n' + table.text();
  if (shown.size() < ranks.size()) {
    text += fmt::format("the {} most in trouble of {}; --json has all\n", kMostRanks,
                        plural(static_cast<std::int64_t>(ranks.size()), "rank"));
  }
  return text;
}

std::string faults_text(const std::vector<FaultRecord>& faults) {
  if (faults.empty()) return "";
  std::string text = "\nfaults, the newest last\n";
  const std::size_t first = faults.size() - std::min(faults.size(), kMostFaults);
  for (std::size_t i = first; i < faults.size(); ++i) {
    const FaultRecord& fault = faults[i];
    text += fmt::format("  {}  {}, step {}: {}\n", plain(fault.time), plain(fault.kind), count_text(fault.step),
                        plain(fault.text));
  }
  return text;
}

std::string orphan_text(const RunView& view, const std::string& age) {
  const JobStatus& status = view.status;
  std::string text = fmt::format("no supervisor has written here for {}: {} is gone", age, plain(view.writer));
  if (status.state == "running") {
    text += "; a rank still runs";
  } else if (status.exit_code != static_cast<int>(ExitCode::done)) {
    text += "; start the job again and it goes on";
  }
  if (!status.picture.ranks.empty()) text += "\nthe ranks are shown as it saw them last";
  return text + '\n';
}

/// How old this is, and whether there is anybody to write more.
std::string age_text(const RunView& view) {
  const std::string age = view.age_s ? duration_text(std::max(0.0, *view.age_s)) : "some time";
  const bool has_ended = view.status.state == "ended";
  if (view.is_supervised) {
    if (view.is_orphaned) return orphan_text(view, age);
    if (has_ended) return fmt::format("the supervisor, {}, ended {} ago\n", plain(view.writer), age);
    if (view.age_s.value_or(0) > kOverdue_s) {
      return fmt::format("no supervisor has written here for {}; does {} live?\n", age, plain(view.writer));
    }
    return fmt::format("written {} ago by {}\n", age, plain(view.writer));
  }
  std::string text = fmt::format("without a supervisor; metrics are {} old", age);
  if (has_ended && !view.status.exit_code && view.is_alive == false) {
    text += fmt::format("; {} is gone: start the run again and it goes on", plain(view.writer));
  } else if (!has_ended && !view.writer.empty()) {
    text += fmt::format("; started as {}{}", plain(view.writer), view.is_alive ? ", which lives" : "");
  }
  return text + '\n';
}

}  // namespace

std::string status_text(const RunView& view) {
  return head_text(view) + progress_text(view) + checkpoint_text(view) + ranks_text(view.status.picture.ranks) +
         faults_text(view.status.faults) + '\n' + age_text(view);
}

}  // namespace athanor
