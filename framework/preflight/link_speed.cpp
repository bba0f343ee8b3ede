#include "preflight/link_speed.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstring>

#include "train/units_text.h"

namespace athanor {
namespace {

using Clock = std::chrono::steady_clock;

constexpr const char* kName = "link speed";
constexpr std::size_t kFirstBytes = std::size_t{32} << 10, kMostBytes = std::size_t{16} << 20;
constexpr double kLeastRound_s = 0.005;

double median_speed(std::span<const LinkSpeed> links) {
  std::vector<double> speeds;
  for (const LinkSpeed& link : links) speeds.push_back(link.bytes_per_s);
  const auto middle = speeds.begin() + static_cast<std::ptrdiff_t>(speeds.size() / 2);
  std::nth_element(speeds.begin(), middle, speeds.end());
  return *middle;
}

std::string speed_text(double bytes_per_s) {
  return bytes_text(static_cast<std::uint64_t>(bytes_per_s)) + "/s";
}

/// This rank's part of one pair. Messages grow until they fill the time: small ones only tell the latency.
class Duel {
 public:
  Duel(Communicator& communicator, int peer, double seconds)
      : communicator_(communicator), peer_(peer), seconds_(seconds) {}

  double bytes_per_s() {
    swap(1);  // Libraries connect with the first message.
    double best = 0, spent = 0;
    for (std::size_t bytes = kFirstBytes; spent < seconds_;) {
      const double once_s = agreed(swap(bytes));
      best = std::max(best, static_cast<double>(bytes) / once_s);
      spent += once_s;
      if (once_s < seconds_ / 4 && bytes < kMostBytes) bytes *= 2;
    }
    return best;
  }

 private:
  double swap(std::size_t bytes) {
    if (out_.size() < bytes) {
      out_.resize(bytes);
      in_.resize(bytes);
    }
    const Clock::time_point start = Clock::now();
    const SendPart send{peer_, out_.data(), bytes};
    const ReceivePart receive{peer_, in_.data(), bytes};
    communicator_.exchange({&send, 1}, {&receive, 1}, kName);
    return std::chrono::duration<double>(Clock::now() - start).count();
  }
  /// The shorter of both ranks' times: the one that came last did not wait. Both go on alike.
  double agreed(double own_s) {
    double other_s = own_s;
    const SendPart send{peer_, &own_s, sizeof own_s};
    const ReceivePart receive{peer_, &other_s, sizeof other_s};
    communicator_.exchange({&send, 1}, {&receive, 1}, kName);
    return std::max(std::min(own_s, other_s), 1e-9);
  }

  Communicator& communicator_;
  int peer_;
  double seconds_;
  std::vector<char> out_, in_;
};

}  // namespace

std::vector<int> first_ranks_of_hosts(const Communicator& communicator) {
  std::vector<int> firsts;
  for (int rank = 0; rank < communicator.size(); ++rank) {
    const bool is_known = std::any_of(firsts.begin(), firsts.end(),
                                      [&](int first) { return communicator.host(first) == communicator.host(rank); });
    if (!is_known) firsts.push_back(rank);
  }
  return firsts;
}

std::vector<std::vector<std::pair<int, int>>> tournament(int players) {
  std::vector<std::vector<std::pair<int, int>>> rounds;
  // The last seat stays, the others move on by one; an odd player out has nobody in the last seat.
  const int seats = players + players % 2, circle = seats - 1;
  for (int round = 0; round < circle; ++round) {
    std::vector<std::pair<int, int>> pairs;
    for (int place = 0; place < seats / 2; ++place) {
      const int first = (round + place) % circle;
      const int second = place == 0 ? seats - 1 : (round + circle - place) % circle;
      if (std::max(first, second) < players) pairs.emplace_back(std::min(first, second), std::max(first, second));
    }
    rounds.push_back(std::move(pairs));
  }
  return rounds;
}

std::vector<LinkSpeed> measure_links(Communicator& communicator, std::span<const int> ranks, double seconds) {
  const auto rounds = tournament(static_cast<int>(ranks.size()));
  const double round_s =
      std::max(kLeastRound_s, seconds / static_cast<double>(std::max<std::size_t>(1, rounds.size())));
  std::string own;
  for (const auto& pairs : rounds) {
    communicator.barrier(kName);
    for (const auto& [first, second] : pairs) {
      const int a = ranks[static_cast<std::size_t>(first)], b = ranks[static_cast<std::size_t>(second)];
      if (communicator.rank() != a && communicator.rank() != b) continue;
      const double speed = Duel(communicator, communicator.rank() == a ? b : a, round_s).bytes_per_s();
      const LinkSpeed link{a, b, speed};
      if (communicator.rank() == a) own.append(reinterpret_cast<const char*>(&link), sizeof link);
    }
  }
  std::vector<LinkSpeed> links;
  for (const std::string& text : gather_texts(communicator, own, kName)) {
    for (std::size_t at = 0; at < text.size(); at += sizeof(LinkSpeed)) {
      std::memcpy(&links.emplace_back(), text.data() + at, sizeof(LinkSpeed));
    }
  }
  return links;
}

Finding judge_links(std::span<const LinkSpeed> links, std::span<const std::string> hosts) {
  if (links.empty()) return {"one host: nothing crosses a network"};
  const auto host_of = [&](int rank) -> const std::string& { return hosts[static_cast<std::size_t>(rank)]; };
  const double median = median_speed(links);
  std::vector<LinkSpeed> slow;
  std::copy_if(links.begin(), links.end(), std::back_inserter(slow),
               [&](const LinkSpeed& link) { return link.bytes_per_s < median / 2; });
  const std::string what = fmt::format("{} of hosts, {} each way in the median",
                                       plural(static_cast<std::int64_t>(links.size()), "pair"), speed_text(median));
  if (slow.empty()) return {what};
  std::sort(slow.begin(), slow.end(),
            [](const LinkSpeed& a, const LinkSpeed& b) { return a.bytes_per_s < b.bytes_per_s; });
  constexpr std::size_t kMost = 6;
  std::string pairs;
  for (std::size_t i = 0; i < std::min(slow.size(), kMost); ++i) {
    pairs += fmt::format("{}{} – {} {}", i == 0 ? "" : ", ", host_of(slow[i].first), host_of(slow[i].second),
                         speed_text(slow[i].bytes_per_s));
  }
  if (slow.size() > kMost) pairs += fmt::format(" and {} more", slow.size() - kMost);
  const auto in_all = [&](int rank) {
    return slow.size() > 1 && std::all_of(slow.begin(), slow.end(), [&](const LinkSpeed& link) {
             return link.first == rank || link.second == rank;
           });
  };
  const std::string common = in_all(slow[0].first)    ? host_of(slow[0].first)
                             : in_all(slow[0].second) ? host_of(slow[0].second)
                                                      : "";
  return {fmt::format("{}, but {}{}: `ethtool` and `ip -s link` on {} show a link that came up slow or drops packets; "
                      "leave it out until it is mended",
                      what, pairs, common.empty() ? "" : fmt::format(" (all of {})", common),
                      common.empty() ? "both" : common),
          CheckStatus::warning};
}

}  // namespace athanor
