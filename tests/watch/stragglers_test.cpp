// Which ranks hold up the others without standing still.
#include "watch/stragglers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/watch/picture.h"

namespace athanor::watch {
namespace {

using ::testing::HasSubstr;
using testing::training_job;

/// What is found when the job takes `steps` more steps, ten a second.
std::vector<Finding> after_steps(Judge& judge, JobPicture& picture, int steps, double& now_s) {
  std::vector<Finding> found;
  for (int step = 0; step < steps; step += 10) {
    for (RankPicture& rank : picture.ranks) rank.activity.times.steps += 10;
    now_s += 1;
    for (const Finding& finding : judge.look(picture, now_s)) found.push_back(finding);
  }
  return found;
}

TEST(Stragglers, SlowComputingIsNamedAfterFiftySteps) {
  Judge judge;
  double now_s = 0;
  JobPicture picture = training_job();
  ASSERT_TRUE(after_steps(judge, picture, 100, now_s).empty());
  picture.ranks[2].compute_s = 0.014;
  EXPECT_TRUE(after_steps(judge, picture, 50, now_s).empty());
  const auto found = after_steps(judge, picture, 100, now_s);
  ASSERT_EQ(found.size(), 1U) << "and named once";
  EXPECT_EQ(found[0].kind, FindingKind::straggler);
  EXPECT_EQ(found[0].ranks, std::vector<int>{2});
  EXPECT_EQ(found[0].text,
            "rank 2 on node1 (process 102) is a straggler: it computes for 14.0 ms a step, the others for 8.0 ms");
}

TEST(Stragglers, SlowDataIsToldFromSlowComputing) {
  Judge judge;
  double now_s = 0;
  JobPicture picture = training_job();
  picture.ranks[1].data_wait_s = 0.0205;
  const auto found = after_steps(judge, picture, 100, now_s);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].ranks, std::vector<int>{1});
  EXPECT_THAT(found[0].text, HasSubstr("waits 20.5 ms a step for its data, the others 0.1 ms"));
}

TEST(Stragglers, ASlowSpellThatEndsIsNone) {
  Judge judge;
  double now_s = 0;
  JobPicture picture = training_job();
  for (int spell = 0; spell < 5; ++spell) {
    picture.ranks[2].compute_s = 0.1;
    EXPECT_TRUE(after_steps(judge, picture, 40, now_s).empty());
    picture.ranks[2].compute_s = 0.008;
    EXPECT_TRUE(after_steps(judge, picture, 10, now_s).empty());
  }
}

TEST(Stragglers, FastStepsAreNoiseAndOneShardMoreIsNoFault) {
  const JudgeOptions options;
  JobPicture picture = training_job();
  for (RankPicture& rank : picture.ranks) rank.compute_s = rank.rank == 2 ? 0.0009 : 0.0001;
  EXPECT_EQ(find_slow(picture, options)[2].what, Slowness::none) << "less than a millisecond";
  picture = training_job();
  picture.ranks[2].compute_s *= 2;
  picture.ranks[2].shards = 2;
  EXPECT_EQ(find_slow(picture, options)[2].what, Slowness::none) << "two shards, one after the other";
  picture = training_job();
  for (RankPicture& rank : picture.ranks) rank.shards = rank.rank == 2 ? 1 : 2;
  EXPECT_EQ(find_slow(picture, options)[2].what, Slowness::none) << "one shard in the time of the others' two";
  picture.ranks[1].compute_s = 0.016;
  EXPECT_EQ(find_slow(picture, options)[1].what, Slowness::compute);
}

TEST(Stragglers, OfTwoRanksTheSlowerOneIsNamed) {
  JobPicture picture = training_job(2);
  picture.ranks[0].compute_s = 0.013;
  const auto slow = find_slow(picture, {});
  EXPECT_EQ(slow[0].what, Slowness::compute);
  EXPECT_EQ(slow[1].what, Slowness::none);
}

JobPicture job_that_waits_for_the_network(int ranks) {
  JobPicture picture = training_job(ranks);
  for (RankPicture& rank : picture.ranks) {
    rank.step_s = 0.5;
    rank.comm_wait_s = 0.49;
  }
  return picture;
}

TEST(Stragglers, ASlowNetworkIsNamedWithoutWaitingForFiftySlowSteps) {
  Judge judge;
  JobPicture picture = job_that_waits_for_the_network(4);
  picture.ranks[3].round_trip_s = 0.12;
  int seconds = 0;
  std::vector<Finding> found;
  while (found.empty() && seconds < 100) found = judge.look(picture, seconds++);
  EXPECT_EQ(seconds - 1, 20);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].ranks, std::vector<int>{3});
  EXPECT_EQ(found[0].text,
            "the network of rank 3 on node1 (process 103) is slow: round trip 120.0 ms, the others 0.2 ms");
}

TEST(Stragglers, ALongRoundTripAloneIsNone) {
  JobPicture picture = training_job();
  picture.ranks[3].round_trip_s = 0.12;
  EXPECT_EQ(find_slow(picture, {})[3].what, Slowness::none) << "nobody waits for it";
  picture = job_that_waits_for_the_network(4);
  for (RankPicture& rank : picture.ranks) rank.round_trip_s = 0.05 + 0.01 * rank.rank;
  for (const Slow& slow : find_slow(picture, {})) EXPECT_EQ(slow.what, Slowness::none) << "a far, even network";
}

TEST(Stragglers, WhereAllOtherHostsAreFarTheHostOfTheServiceIsNamed) {
  JobPicture picture = job_that_waits_for_the_network(8);
  for (RankPicture& rank : picture.ranks) {
    if (rank.host != "node0") rank.round_trip_s = 0.1;
  }
  const auto slow = find_slow(picture, {});
  EXPECT_EQ(slow[0].what, Slowness::network);
  EXPECT_EQ(slow[1].what, Slowness::network);
  EXPECT_EQ(slow[2].what, Slowness::none);
  EXPECT_THAT(slow[0].text, HasSubstr("the network of node0, or of all other hosts, is slow: round trip 100.0 ms"));
}

}  // namespace
}  // namespace athanor::watch
