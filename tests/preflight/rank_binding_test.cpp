#include "preflight/rank_binding.h"

#include <gmock/gmock.h>

namespace athanor {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

/// A rank on a host of 8 cpus.
RankPlace place(const std::string& host, std::vector<int> cpus, int threads, const std::string& device = "") {
  return {.host = host, .cpus = std::move(cpus), .host_cpus = 8, .threads = threads, .device = device};
}

const std::vector<int> kAll{0, 1, 2, 3, 4, 5, 6, 7};

TEST(RankBinding, ApartOrTogetherWithCpusForAllIsFine) {
  const RankPlace apart[] = {place("a", {0, 1, 2, 3}, 4), place("a", {4, 5, 6, 7}, 4), place("b", {0, 1, 2, 3}, 4),
                             place("b", {4, 5, 6, 7}, 4)};
  const Finding found = judge_binding(apart);
  EXPECT_EQ(found.status, CheckStatus::ok);
  EXPECT_EQ(found.text, "rank 0: cpus 0-3, 4 threads; rank 1: cpus 4-7, 4 threads; 1 other host likewise");
  const RankPlace together[] = {place("a", kAll, 4), place("a", kAll, 4)};
  EXPECT_EQ(judge_binding(together).status, CheckStatus::ok);
  const RankPlace alone[] = {place("a", {3}, 1)};
  EXPECT_EQ(judge_binding(alone).text, "rank 0: cpu 3, 1 thread");
}

TEST(RankBinding, MoreThreadsThanCpusIsNamedWithTheRank) {
  const RankPlace ranks[] = {place("a", {0, 1, 2, 3}, 4), place("b", {2}, 4)};
  const Finding found = judge_binding(ranks);
  EXPECT_EQ(found.status, CheckStatus::warning);
  EXPECT_THAT(found.text, AllOf(HasSubstr("rank 1 on b runs 4 threads on 1 cpu (2)"), HasSubstr("slot:PE=4"),
                                HasSubstr("--cpus-per-task=4")));
}

TEST(RankBinding, RanksOnTheSameCpuAreNamedWhileOthersAreFree) {
  const RankPlace ranks[] = {place("a", {0, 1, 2, 3}, 4), place("a", {3, 4, 5, 6}, 4)};
  const Finding found = judge_binding(ranks);
  EXPECT_EQ(found.status, CheckStatus::warning);
  EXPECT_THAT(found.text, AllOf(HasSubstr("ranks 0-1 on a share cpu 3"), HasSubstr("slot:PE=4")));
}

TEST(RankBinding, MoreThreadsThanTheHostHasIsNotALaunchersFault) {
  const RankPlace ranks[] = {place("a", kAll, 6), place("a", kAll, 6)};
  const Finding found = judge_binding(ranks);
  EXPECT_EQ(found.status, CheckStatus::warning);
  EXPECT_THAT(found.text, HasSubstr("run 12 threads on 8 cpus: start fewer ranks"));
}

TEST(RankBinding, CpusThatTheJobWasNotGrantedDoNotCount) {
  RankPlace ranks[] = {place("a", kAll, 3), place("a", kAll, 3)};
  for (RankPlace& rank : ranks) rank.host_cpus = 4;
  EXPECT_THAT(judge_binding(ranks).text, HasSubstr("run 6 threads on 4 cpus"));
}

TEST(RankBinding, ALauncherThatTiesEachRankToOneCoreIsToldOf) {
  const RankPlace ranks[] = {place("a", {0}, 1), place("a", {1}, 1)};
  const Finding found = judge_binding(ranks);
  EXPECT_EQ(found.status, CheckStatus::warning);
  EXPECT_THAT(found.text, AllOf(HasSubstr("may use 2 of the host's 8 cpus (0-1)"), HasSubstr("slot:PE=4")));
}

TEST(RankBinding, TwoRanksOnOneGpuOfOneHostAreNamed) {
  const RankPlace fine[] = {place("a", {0, 1, 2, 3}, 1, "0000:3b:00.0"), place("a", {4, 5, 6, 7}, 1, "0000:5e:00.0"),
                            place("b", kAll, 1, "0000:3b:00.0")};
  EXPECT_EQ(judge_binding(fine).status, CheckStatus::ok);
  EXPECT_THAT(judge_binding(fine).text, HasSubstr("GPU 0000:3b:00.0"));
  RankPlace shared[] = {fine[0], fine[1], fine[2]};
  shared[1].device = shared[0].device;
  EXPECT_EQ(judge_binding(shared).status, CheckStatus::warning);
  EXPECT_THAT(judge_binding(shared).text,
              AllOf(HasSubstr("ranks 0-1 on a share the GPU 0000:3b:00.0"), HasSubstr("--gpus-per-task=1")));
}

TEST(RankBinding, APlaceSurvivesBeingText) {
  const RankPlace want = place("a", {1, 5}, 3, "0000:3b:00.0");
  for (const std::string& device : {want.device, std::string()}) {
    RankPlace sent = want;
    sent.device = device;
    const RankPlace got = place_of_text(text_of_place(sent), "a");
    EXPECT_EQ(got.cpus, want.cpus);
    EXPECT_EQ(got.device, device);
    EXPECT_EQ(got.threads, want.threads);
    EXPECT_EQ(got.host_cpus, want.host_cpus);
  }
}

}  // namespace
}  // namespace athanor
