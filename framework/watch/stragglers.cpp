#include "watch/stragglers.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "watch/rank_history.h"
#include "watch/wording.h"

namespace athanor::watch {
namespace {

/// Below this a step's time is noise.
constexpr double kLeastExcess_s = 1e-3;
/// A network is slow from here on, whatever the others' is.
constexpr double kSlowRoundTrip_s = 5e-3;
constexpr double kRoundTripRatio = 5;
/// Of a step, that ranks wait for each other when the network is what holds them up.
constexpr double kMostOfAStep = 0.5;

bool is_stepping(const RankPicture& rank) {
  return rank.presence == Presence::connected && rank.step_s > 0 && rank.activity.phase == Phase::training;
}

double shards_of(const RankPicture& rank) {
  return std::max(rank.shards, 1);
}

template <typename Value>
double median(const std::vector<const RankPicture*>& ranks, Value value) {
  std::vector<double> values;
  values.reserve(ranks.size());
  for (const RankPicture* rank : ranks) values.push_back(value(*rank));
  return median_of(values.data(), values.size());
}

std::string ms_text(double seconds) {
  return fmt::format("{:.1f} ms", seconds * 1e3);
}

void find_slow_steps(const std::vector<const RankPicture*>& ranks, const JudgeOptions& options,
                     std::vector<Slow>& slow) {
  const auto own = [](const RankPicture& rank) { return rank.compute_s + rank.data_wait_s; };
  const double usual = median(ranks, own);
  const double usual_shard = median(ranks, [&](const RankPicture& rank) { return own(rank) / shards_of(rank); });
  const double compute = median(ranks, [](const RankPicture& rank) { return rank.compute_s / shards_of(rank); });
  const double data = median(ranks, [](const RankPicture& rank) { return rank.data_wait_s / shards_of(rank); });
  for (const RankPicture* rank : ranks) {
    const double shards = shards_of(*rank);
    if (own(*rank) < options.straggler_ratio * usual || own(*rank) < usual + kLeastExcess_s) continue;
    if (own(*rank) / shards < options.straggler_ratio * usual_shard) continue;
    Slow& found = slow[static_cast<std::size_t>(rank->rank)];
    const bool is_data = rank->data_wait_s / shards - data > rank->compute_s / shards - compute;
    found.what = is_data ? Slowness::data : Slowness::compute;
    found.text = is_data ? fmt::format("{} is a straggler: it waits {} a step for its data, the others {}",
                                       name_of(*rank), ms_text(rank->data_wait_s), ms_text(data * shards))
                         : fmt::format("{} is a straggler: it computes for {} a step, the others for {}",
                                       name_of(*rank), ms_text(rank->compute_s), ms_text(compute * shards));
  }
}

void find_slow_network(const std::vector<const RankPicture*>& ranks, std::vector<Slow>& slow) {
  std::vector<const RankPicture*> heard;
  for (const RankPicture* rank : ranks) {
    if (rank->comm_wait_s < kMostOfAStep * rank->step_s) return;
    if (rank->round_trip_s > 0) heard.push_back(rank);
  }
  if (heard.size() < 2) return;
  std::sort(heard.begin(), heard.end(),
            [](const RankPicture* a, const RankPicture* b) { return a->round_trip_s < b->round_trip_s; });
  // The largest gap of at least kRoundTripRatio parts the fast from the slow.
  const auto is_gap = [&](std::size_t i) {
    return heard[i]->round_trip_s >= std::max(kSlowRoundTrip_s, kRoundTripRatio * heard[i - 1]->round_trip_s);
  };
  std::size_t first_slow = 1;
  while (first_slow < heard.size() && !is_gap(first_slow)) ++first_slow;
  if (first_slow == heard.size()) return;
  std::vector<const RankPicture*> fast(heard.begin(), heard.begin() + static_cast<std::ptrdiff_t>(first_slow));
  std::vector<const RankPicture*> late(heard.begin() + static_cast<std::ptrdiff_t>(first_slow), heard.end());
  const auto round_trip = [](const RankPicture& rank) { return rank.round_trip_s; };
  const std::string times =
      fmt::format("round trip {}, the others {}", ms_text(median(late, round_trip)), ms_text(median(fast, round_trip)));
  // Where only one host is fast, the one that the heartbeats go to, it is the one that is slow to all others.
  std::set<std::string> fast_hosts, late_hosts;
  for (const RankPicture* rank : fast) fast_hosts.insert(rank->host);
  for (const RankPicture* rank : late) late_hosts.insert(rank->host);
  const bool is_fast_host_slow = late_hosts.size() > 1 && fast_hosts.size() == 1;
  for (const RankPicture* rank : is_fast_host_slow ? fast : late) {
    Slow& found = slow[static_cast<std::size_t>(rank->rank)];
    found.what = Slowness::network;
    found.text =
        is_fast_host_slow
            ? fmt::format("the network of {}, or of all other hosts, is slow: round trip {} to them, {} within",
                          rank->host, ms_text(median(late, round_trip)), ms_text(median(fast, round_trip)))
            : fmt::format("the network of {} is slow: {}", name_of(*rank), times);
  }
}

}  // namespace

std::vector<Slow> find_slow(const JobPicture& picture, const JudgeOptions& options) {
  std::vector<Slow> slow(picture.ranks.size());
  std::vector<const RankPicture*> ranks;
  for (const RankPicture& rank : picture.ranks) {
    if (is_stepping(rank)) ranks.push_back(&rank);
  }
  if (ranks.size() < 2) return slow;
  find_slow_steps(ranks, options, slow);
  const bool is_any = std::any_of(slow.begin(), slow.end(), [](const Slow& one) { return one.what != Slowness::none; });
  if (!is_any) find_slow_network(ranks, slow);
  return slow;
}

}  // namespace athanor::watch
