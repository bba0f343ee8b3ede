#include "watch/wording.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <map>

namespace athanor::watch {

std::string name_of(const RankPicture& rank) {
  std::string name = fmt::format("rank {}", rank.rank);
  if (!rank.host.empty()) name += fmt::format(" on {}", rank.host);
  if (rank.pid != 0) name += fmt::format(" (process {})", rank.pid);
  return name;
}

std::string name_of(const Collective& call) {
  return fmt::format("'{}'", std::string_view(call.name.data(), strnlen(call.name.data(), call.name.size())));
}

std::string list_of(std::vector<int> ranks) {
  std::sort(ranks.begin(), ranks.end());
  std::vector<std::string> runs;
  for (std::size_t i = 0; i < ranks.size();) {
    std::size_t end = i + 1;
    while (end < ranks.size() && ranks[end] == ranks[end - 1] + 1) ++end;
    if (end - i > 2) {
      runs.push_back(fmt::format("{}-{}", ranks[i], ranks[end - 1]));
    } else {
      for (std::size_t j = i; j < end; ++j) runs.push_back(fmt::format("{}", ranks[j]));
    }
    i = end;
  }
  std::string text = ranks.size() == 1 ? "rank " : "ranks ";
  for (std::size_t i = 0; i < runs.size(); ++i) {
    text += fmt::format("{}{}", i == 0 ? "" : i + 1 == runs.size() ? " and " : ", ", runs[i]);
  }
  return text;
}

std::string names_of(const JobPicture& picture, const std::vector<int>& ranks) {
  constexpr std::size_t kMostHosts = 4;
  if (ranks.size() == 1) return name_of(picture.ranks[static_cast<std::size_t>(ranks[0])]);
  std::map<std::string, std::vector<int>> by_host;
  for (const int rank : ranks) by_host[picture.ranks[static_cast<std::size_t>(rank)].host].push_back(rank);
  if (by_host.size() > kMostHosts) return fmt::format("{} on {} hosts", list_of(ranks), by_host.size());
  std::string text;
  for (const auto& [host, its_ranks] : by_host) {
    text += fmt::format("{}{}{}", text.empty() ? "" : " and ", list_of(its_ranks), host.empty() ? "" : " on " + host);
  }
  return text;
}

std::string doing(const ActivitySnapshot& activity) {
  std::string text;
  switch (activity.phase) {
    case Phase::unwatched:
      break;
    case Phase::training:
      text = activity.step > 0 ? fmt::format("training step {}", activity.step) : "training";
      break;
    case Phase::starting:
    case Phase::ending:
      text = name_of(activity.phase);
      break;
    case Phase::evaluating:
    case Phase::saving:
      text = activity.step > 0 ? fmt::format("{} at step {}", name_of(activity.phase), activity.step)
                               : std::string(name_of(activity.phase));
      break;
  }
  if (is_waiting(activity)) {
    text += fmt::format("{}in {}", text.empty() ? "" : ", ", name_of(activity.newest));
  }
  return text;
}

std::string when_last_heard(const JobPicture& picture, const std::vector<int>& ranks, bool with_age) {
  const RankPicture& first = picture.ranks[static_cast<std::size_t>(ranks[0])];
  const std::string what = doing(first.activity);
  const bool is_shared = std::all_of(ranks.begin(), ranks.end(), [&](int rank) {
    return doing(picture.ranks[static_cast<std::size_t>(rank)].activity) == what;
  });
  if (what.empty() || !is_shared) return {};
  const std::string age = with_age ? duration_text(first.beat_age_s) + " before, " : "";
  return fmt::format("; when last heard, {}{} {}", age, ranks.size() == 1 ? "it was" : "they were", what);
}

std::string duration_text(double seconds) {
  if (seconds < 9.95) return fmt::format("{:.1f} s", seconds);
  if (seconds < 120) return fmt::format("{:.0f} s", seconds);
  return fmt::format("{:.1f} min", seconds / 60);
}

}  // namespace athanor::watch
