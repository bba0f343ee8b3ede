#include "watch/blame.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "watch/wording.h"

namespace athanor::watch {
namespace {

const RankPicture& at(const JobPicture& picture, int rank) {
  return picture.ranks[static_cast<std::size_t>(rank)];
}

std::vector<int> ranks_with(const JobPicture& picture, std::initializer_list<Presence> presences) {
  std::vector<int> ranks;
  for (const RankPicture& rank : picture.ranks) {
    if (std::find(presences.begin(), presences.end(), rank.presence) != presences.end()) ranks.push_back(rank.rank);
  }
  return ranks;
}

/// "rank 2 on node3 (process 4711), training step 57,": what comes before the verb.
std::string subject(const JobPicture& picture, const std::vector<int>& ranks) {
  const RankPicture& first = at(picture, ranks[0]);
  const std::string what = doing(first.activity);
  return fmt::format("{}{}{}", names_of(picture, ranks), what.empty() ? "" : ", ", what.empty() ? "" : what + ",");
}

std::string last_progress(const JobPicture& picture, const std::vector<int>& ranks) {
  double since_s = 0;
  for (const int rank : ranks) since_s = std::max(since_s, at(picture, rank).stalled_s);
  return fmt::format("last got on {} ago", duration_text(since_s));
}

const char* verb(const std::vector<int>& ranks, const char* one, const char* several) {
  return ranks.size() == 1 ? one : several;
}

struct Waiting {
  int rank;
  Collective call;
};

/// The newest call of `group` that a rank has not returned from, of the group in which the most ranks wait.
std::vector<Waiting> find_waiting(const JobPicture& picture, const std::vector<std::vector<Collective>>& calls) {
  std::map<std::uint32_t, std::vector<Waiting>> groups;
  for (const int rank : ranks_with(picture, {Presence::connected, Presence::silent})) {
    std::map<std::uint32_t, Collective> open;
    for (const Collective& call : calls[static_cast<std::size_t>(rank)]) {
      if (call.begun_ns != 0 && call.ended_ns == 0) open[call.group] = call;
    }
    for (const auto& [group, call] : open) groups[group].push_back({rank, call});
  }
  std::vector<Waiting> most;
  for (auto& [group, waiting] : groups) {
    if (waiting.size() > most.size()) most = std::move(waiting);
  }
  return most;
}

/// The newest call of the group that the rank is known to have entered; 0: none.
std::uint64_t newest_sequence(const std::vector<Collective>& calls, std::uint32_t group) {
  std::uint64_t newest = 0;
  for (const Collective& call : calls) {
    if (call.group == group) newest = std::max(newest, call.sequence);
  }
  return newest;
}

/// Those whose `key` is not that of the most; of equally many, not that of the lowest rank.
template <typename Key>
std::vector<Waiting> minority(const std::vector<Waiting>& waiting, Key key, Waiting& usual) {
  std::map<decltype(key(waiting[0].call)), std::vector<Waiting>> by_key;
  for (const Waiting& one : waiting) by_key[key(one.call)].push_back(one);
  const auto more = [](const auto& a, const auto& b) {
    if (a.second.size() != b.second.size()) return a.second.size() < b.second.size();
    return a.second[0].rank > b.second[0].rank;
  };
  const auto most = std::max_element(by_key.begin(), by_key.end(), more);
  usual = most->second[0];
  std::vector<Waiting> others;
  for (const auto& [its_key, ones] : by_key) {
    if (its_key != most->first) others.insert(others.end(), ones.begin(), ones.end());
  }
  return others;
}

std::vector<int> ranks_of(const std::vector<Waiting>& waiting) {
  std::vector<int> ranks;
  for (const Waiting& one : waiting) ranks.push_back(one.rank);
  return ranks;
}

std::string wait_text(const std::vector<Waiting>& waiting) {
  return fmt::format("{} {} in {} (call {})", list_of(ranks_of(waiting)), waiting.size() == 1 ? "waits" : "wait",
                     name_of(waiting[0].call), waiting[0].call.sequence);
}

/// All are in the same call of the same group: did they enter it alike?
Blame blame_for_difference(const JobPicture& picture, const std::vector<Waiting>& waiting) {
  Waiting usual;
  Blame blame;
  std::vector<Waiting> odd = minority(
      waiting, [](const Collective& call) { return name_of(call); }, usual);
  const bool by_name = !odd.empty();
  if (!by_name)
    odd = minority(
        waiting, [](const Collective& call) { return call.bytes; }, usual);
  if (odd.empty()) {
    blame.text = fmt::format("{}, and none of them gets on: is the network between them down?", wait_text(waiting));
    return blame;
  }
  blame.ranks = ranks_of(odd);
  std::sort(blame.ranks.begin(), blame.ranks.end());
  const Waiting& first = odd[0];
  const std::string entered =
      by_name ? fmt::format("{} (call {}), where the others entered {}", name_of(first.call), first.call.sequence,
                            name_of(usual.call))
              : fmt::format("{} (call {}) with another shape: {} bytes, the others with {}", name_of(first.call),
                            first.call.sequence, first.call.bytes, usual.call.bytes);
  blame.text =
      fmt::format("{} entered {}; it {}", subject(picture, blame.ranks), entered, last_progress(picture, blame.ranks));
  return blame;
}

}  // namespace

Blame find_blame(const JobPicture& picture, const std::vector<std::vector<Collective>>& calls) {
  Blame blame;
  std::vector<Waiting> waiting = find_waiting(picture, calls);
  const std::string others = waiting.empty() ? "" : "; " + wait_text(waiting);

  blame.ranks = ranks_with(picture, {Presence::silent, Presence::lost});
  if (!blame.ranks.empty()) {
    blame.text =
        fmt::format("{} {} said nothing for {}{}", subject(picture, blame.ranks), verb(blame.ranks, "has", "have"),
                    duration_text(at(picture, blame.ranks[0]).beat_age_s), others);
    return blame;
  }
  blame.ranks = ranks_with(picture, {Presence::expected});
  if (!blame.ranks.empty()) {
    blame.text = fmt::format("{} {} not come so far{}", names_of(picture, blame.ranks),
                             verb(blame.ranks, "has", "have"), others);
    return blame;
  }
  const std::vector<int> live = ranks_with(picture, {Presence::connected});
  if (waiting.empty()) {
    blame.ranks = live;
    blame.text = fmt::format("{} {}, in no collective", subject(picture, live), last_progress(picture, live));
    return blame;
  }
  blame.ranks = ranks_with(picture, {Presence::left});
  if (!blame.ranks.empty()) {
    blame.text =
        fmt::format("{} {} ended, with exit code {}{}", names_of(picture, blame.ranks),
                    verb(blame.ranks, "has", "have"), at(picture, blame.ranks[0]).exit_code.value_or(0), others);
    return blame;
  }

  const auto furthest = std::max_element(waiting.begin(), waiting.end(), [](const Waiting& a, const Waiting& b) {
    return a.call.sequence < b.call.sequence;
  });
  const Collective target = furthest->call;
  for (const int rank : live) {
    if (newest_sequence(calls[static_cast<std::size_t>(rank)], target.group) < target.sequence) {
      blame.ranks.push_back(rank);
    }
  }
  std::erase_if(waiting, [&](const Waiting& one) { return one.call.sequence != target.sequence; });
  if (blame.ranks.empty()) return blame_for_difference(picture, waiting);
  blame.text = fmt::format("{} {} and {} not entered {} (call {}), in which {} {}", subject(picture, blame.ranks),
                           last_progress(picture, blame.ranks), verb(blame.ranks, "has", "have"), name_of(target),
                           target.sequence, list_of(ranks_of(waiting)), waiting.size() == 1 ? "waits" : "wait");
  return blame;
}

Blame find_blame(const JobPicture& picture) {
  std::vector<std::vector<Collective>> calls;
  calls.reserve(picture.ranks.size());
  for (const RankPicture& rank : picture.ranks) calls.push_back({rank.activity.newest});
  return find_blame(picture, calls);
}

}  // namespace athanor::watch
