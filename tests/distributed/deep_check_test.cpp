// The parts of `check --deep` that send messages, between real ranks.
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <set>

#include "distributed/world.h"
#include "preflight/clock_offsets.h"
#include "preflight/link_speed.h"

namespace athanor::distributed_test {
namespace {

std::vector<int> all_ranks() {
  std::vector<int> ranks(static_cast<std::size_t>(world().size()));
  std::iota(ranks.begin(), ranks.end(), 0);
  return ranks;
}

TEST(DeepCheck, EveryPairIsMeasuredOnceAndKnownEverywhere) {
  const std::vector<LinkSpeed> links = measure_links(world(), all_ranks(), 0.1);
  std::set<std::pair<int, int>> pairs;
  for (const LinkSpeed& link : links) {
    EXPECT_LT(link.first, link.second);
    EXPECT_GT(link.bytes_per_s, 0);
    pairs.emplace(link.first, link.second);
  }
  const std::size_t want = static_cast<std::size_t>(world().size() * (world().size() - 1) / 2);
  EXPECT_EQ(links.size(), want);
  EXPECT_EQ(pairs.size(), want);
  // Some of the ranks only, as where hosts have several.
  if (world().size() > 2) {
    const int some[] = {0, 2};
    EXPECT_EQ(measure_links(world(), some, 0.05).size(), 1u);
  }
}

TEST(DeepCheck, OneClockIsNotApartFromItself) {
  const std::vector<ClockOffset> offsets = measure_clocks(world(), all_ranks());
  ASSERT_EQ(offsets.size(), static_cast<std::size_t>(world().size() - 1));
  for (const ClockOffset& offset : offsets) EXPECT_LE(std::abs(offset.seconds), offset.uncertainty + 0.01);
}

TEST(DeepCheck, RanksOfThisMachineAreOnOneHost) {
  EXPECT_EQ(first_ranks_of_hosts(world()), std::vector<int>{0});
}

}  // namespace
}  // namespace athanor::distributed_test
