#include "watch/stall_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "watch/wording.h"

namespace athanor::watch {
namespace {

constexpr std::size_t kMostGroups = 6;
constexpr std::size_t kMostCulprits = 4;
constexpr std::size_t kMostCalls = 4;

bool is_among(const std::vector<int>& ranks, int rank) {
  return std::find(ranks.begin(), ranks.end(), rank) != ranks.end();
}

/// "ranks 0, 1 and 3 were training step 57, in 'gradients'", for all that are not culprits.
std::string others_text(const JobPicture& picture, const std::vector<int>& culprits) {
  std::map<std::string, std::vector<int>> by_doing;
  for (const RankPicture& rank : picture.ranks) {
    if (is_among(culprits, rank.rank)) continue;
    std::string what = doing(rank.activity);
    if (rank.presence == Presence::expected) what = "expected to call";
    if (rank.presence == Presence::left) what = "done";
    if (rank.presence == Presence::lost) what = "lost";
    if (what.empty()) what = "up";
    by_doing[what].push_back(rank.rank);
  }
  std::string text;
  std::size_t groups = 0;
  for (const auto& [what, ranks] : by_doing) {
    if (++groups > kMostGroups) return text + ", …";
    text +=
        fmt::format("{}{} {} {}", text.empty() ? "" : ", ", list_of(ranks), ranks.size() == 1 ? "was" : "were", what);
  }
  return text;
}

/// "'gradients' (call 57, 4096 bytes) for 31 s so far, after 'agree' (call 56, …) in 0.2 ms, …": newest first.
std::string calls_text(const std::vector<Collective>& ring, std::int64_t now_ns) {
  std::string text;
  std::size_t count = 0;
  for (auto call = ring.rbegin(); call != ring.rend() && count < kMostCalls; ++call, ++count) {
    const bool is_open = call->ended_ns == 0;
    const double seconds = static_cast<double>((is_open ? now_ns : call->ended_ns) - call->begun_ns) * 1e-9;
    text += fmt::format("{}{} (call {} of group {}, {} bytes) ", text.empty() ? "" : ", after ", name_of(*call),
                        call->sequence, call->group, call->bytes);
    text += is_open ? fmt::format("for {} so far", duration_text(seconds)) : fmt::format("in {:.1f} ms", seconds * 1e3);
  }
  return text.empty() ? "none" : text;
}

}  // namespace

std::vector<std::vector<Collective>> known_calls(const JobPicture& picture,
                                                 const std::vector<std::optional<Rings>>& gathered) {
  std::vector<std::vector<Collective>> calls;
  calls.reserve(picture.ranks.size());
  for (std::size_t rank = 0; rank < picture.ranks.size(); ++rank) {
    const bool is_gathered = rank < gathered.size() && gathered[rank] && !gathered[rank]->ring.empty();
    if (is_gathered) {
      calls.push_back(gathered[rank]->ring);
    } else {
      calls.push_back({picture.ranks[rank].activity.newest});
    }
  }
  return calls;
}

std::string stall_report(const JobPicture& picture, const std::vector<int>& culprits, const std::string& sentence,
                         const std::vector<std::optional<Rings>>& gathered, bool with_others) {
  std::string report = sentence + ".";
  const std::string others = with_others ? others_text(picture, culprits) : "";
  if (!others.empty()) report += fmt::format(" Of the others, {}.", others);
  std::string stacks;
  for (std::size_t i = 0; i < culprits.size() && i < kMostCulprits; ++i) {
    const auto rank = static_cast<std::size_t>(culprits[i]);
    if (rank >= gathered.size() || !gathered[rank]) continue;
    const Rings& rings = *gathered[rank];
    report += fmt::format(" Newest collectives of rank {}: {}.", rank, calls_text(rings.ring, rings.now_ns));
    if (!rings.stacks.empty()) stacks += fmt::format("\nstacks of {}:\n{}", name_of(picture.ranks[rank]), rings.stacks);
  }
  while (!stacks.empty() && stacks.back() == '\n') stacks.pop_back();
  return report + stacks;
}

}  // namespace athanor::watch
