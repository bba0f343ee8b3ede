// Who is missing while the ranks of an attempt come together.
#include "launcher/supervisor/meeting.h"

#include <gtest/gtest.h>

namespace athanor {
namespace {

watch::JobPicture nobody_here(int ranks) {
  watch::JobPicture picture;
  for (int rank = 0; rank < ranks; ++rank) picture.ranks.emplace_back().rank = rank;
  return picture;
}

const std::vector<HostSlots> kTwoHosts{{"node1", 2}, {"node2", 2}};

TEST(Meeting, WhereOthersHaveCalledTheHostsOfTheMissingAreToBlame) {
  watch::JobPicture picture = nobody_here(4);
  for (const std::size_t rank : {0U, 1U, 2U}) picture.ranks[rank].presence = watch::Presence::connected;
  const Missing missing = missing_ranks(picture, kTwoHosts, 15.2);
  EXPECT_EQ(missing.ranks, std::vector<int>{3});
  EXPECT_EQ(missing.hosts, std::vector<std::string>{"node2"});
  EXPECT_EQ(missing.text, "rank 3 on node2 has not called within 15 s");
}

TEST(Meeting, WhereNobodyHasCalledNobodyIsToBlame) {
  const Missing missing = missing_ranks(nobody_here(4), kTwoHosts, 60);
  EXPECT_EQ(missing.ranks, (std::vector<int>{0, 1, 2, 3}));
  EXPECT_TRUE(missing.hosts.empty());
  EXPECT_EQ(
      missing.text,
      "ranks 0 and 1 on node1 and ranks 2 and 3 on node2 have not called within 60 s: a host that does not answer, "
      "or a rank that stands still, holds up all");
}

TEST(Meeting, OfAllNobodyIsMissing) {
  watch::JobPicture picture = nobody_here(4);
  for (watch::RankPicture& rank : picture.ranks) rank.presence = watch::Presence::connected;
  EXPECT_TRUE(missing_ranks(picture, kTwoHosts, 60).ranks.empty());
}

}  // namespace
}  // namespace athanor
