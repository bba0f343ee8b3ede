#include "train/core_share.h"

#include <gmock/gmock.h>

namespace athanor {
namespace {

using ::testing::ElementsAre;

std::vector<int> whole(const std::vector<std::vector<int>>& allowed) {
  std::vector<int> cores;
  for (const double share : core_shares(allowed)) cores.push_back(whole_cores(share));
  return cores;
}

TEST(CoreShare, OfRanksThatAreBoundIsWhatTheyAreBoundTo) {
  EXPECT_THAT(whole({{0, 1}, {2, 3}}), ElementsAre(2, 2));
  EXPECT_THAT(whole({{0}, {1, 2, 3}}), ElementsAre(1, 3));
}

TEST(CoreShare, OfRanksThatAreNotBoundIsAnEqualPart) {
  EXPECT_THAT(whole({{0, 1, 2, 3}, {0, 1, 2, 3}}), ElementsAre(2, 2));
  EXPECT_THAT(whole({{0, 1, 2}, {0, 1, 2}, {0, 1, 2}}), ElementsAre(1, 1, 1)) << "three thirds are one";
  EXPECT_THAT(whole({{0, 1, 2, 3, 4}, {0, 1, 2, 3, 4}}), ElementsAre(2, 2)) << "half a core runs nothing";
}

TEST(CoreShare, OfMoreRanksThanCoresIsOne) {
  EXPECT_THAT(whole({{0, 1}, {0, 1}, {0, 1}}), ElementsAre(1, 1, 1));
}

TEST(CoreShare, CountsEachCoreByHowManyMayUseIt) {
  EXPECT_THAT(core_shares(std::vector<std::vector<int>>{{0, 1}, {1, 2}}), ElementsAre(1.5, 1.5));
}

TEST(CoreShare, OfAProcessAloneIsAllItMayUse) {
  Hardware hardware = probe_hardware();
  const auto self = make_self_communicator();
  share_cores(hardware, *self);
  EXPECT_EQ(hardware.cores, hardware.allowed_cpus);
  EXPECT_EQ(hardware.first_rank_cores, hardware.allowed_cpus);
}

}  // namespace
}  // namespace athanor
