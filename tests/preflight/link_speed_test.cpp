#include "preflight/link_speed.h"

#include <gmock/gmock.h>

#include <set>

namespace athanor {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(LinkSpeed, InATournamentEveryPairMeetsOnceAndNobodyTwiceInARound) {
  for (int players = 0; players <= 17; ++players) {
    std::set<std::pair<int, int>> met;
    std::size_t pairs = 0;
    const auto rounds = tournament(players);
    for (const auto& round : rounds) {
      std::set<int> busy;
      for (const auto& [first, second] : round) {
        EXPECT_LT(first, second);
        EXPECT_GE(first, 0);
        EXPECT_LT(second, players);
        EXPECT_TRUE(busy.insert(first).second && busy.insert(second).second) << players;
        met.emplace(first, second);
        ++pairs;
      }
    }
    EXPECT_EQ(met.size(), static_cast<std::size_t>(players * (players - 1) / 2));
    EXPECT_EQ(pairs, met.size());
    EXPECT_LE(rounds.size(), static_cast<std::size_t>(std::max(0, players - 1 + players % 2)));
  }
}

/// Every pair of four hosts, with two ranks each.
std::vector<LinkSpeed> links_of(double bytes_per_s) {
  std::vector<LinkSpeed> links;
  for (const auto& round : tournament(4)) {
    for (const auto& [first, second] : round) links.push_back({first * 2, second * 2, bytes_per_s});
  }
  return links;
}

const std::string kLinkedHosts[] = {"a", "a", "b", "b", "c", "c", "d", "d"};

LinkSpeed& link(std::vector<LinkSpeed>& links, int first, int second) {
  return *std::find_if(links.begin(), links.end(),
                       [&](const LinkSpeed& l) { return l.first == first && l.second == second; });
}

TEST(LinkSpeed, EqualLinksAreFine) {
  std::vector<LinkSpeed> links = links_of(1.2e9);
  link(links, 0, 2).bytes_per_s = 0.7e9;
  const Finding found = judge_links(links, kLinkedHosts);
  EXPECT_EQ(found.status, CheckStatus::ok);
  EXPECT_THAT(found.text, HasSubstr("6 pairs of hosts, 1.20 GB/s each way"));
  EXPECT_EQ(judge_links({}, kLinkedHosts).status, CheckStatus::ok);
}

TEST(LinkSpeed, OneSlowPairIsNamed) {
  std::vector<LinkSpeed> links = links_of(1.2e9);
  link(links, 2, 6).bytes_per_s = 0.5e9;
  const Finding found = judge_links(links, kLinkedHosts);
  EXPECT_EQ(found.status, CheckStatus::warning);
  EXPECT_THAT(found.text, AllOf(HasSubstr("b – d 500 MB/s"), Not(HasSubstr("all of")), HasSubstr("ethtool")));
}

TEST(LinkSpeed, TheHostThatAllSlowPairsShareIsNamed) {
  std::vector<LinkSpeed> links = links_of(1.2e9);
  link(links, 0, 4).bytes_per_s = 110e6;
  link(links, 2, 4).bytes_per_s = 90e6;
  const Finding found = judge_links(links, kLinkedHosts);
  EXPECT_EQ(found.status, CheckStatus::warning);
  EXPECT_THAT(found.text,
              AllOf(HasSubstr("b – c 90.0 MB/s, a – c 110 MB/s"), HasSubstr("(all of c)"), HasSubstr("on c show")));
}

}  // namespace
}  // namespace athanor
