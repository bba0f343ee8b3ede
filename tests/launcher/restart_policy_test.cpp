// How an attempt ended, and whether the job is started again.
#include "launcher/supervisor/restart_policy.h"

#include <gmock/gmock.h>

#include <csignal>

namespace athanor {
namespace {

using ::testing::HasSubstr;
using watch::JobPicture;
using watch::Presence;

/// A job whose ranks said these codes; −1: said nothing.
JobPicture said(const std::vector<int>& codes) {
  JobPicture picture;
  for (std::size_t i = 0; i < codes.size(); ++i) {
    watch::RankPicture rank;
    rank.rank = static_cast<int>(i);
    rank.host = "node" + std::to_string(i);
    rank.presence = codes[i] < 0 ? Presence::lost : Presence::left;
    if (codes[i] >= 0) rank.exit_code = codes[i];
    picture.ranks.push_back(rank);
  }
  return picture;
}

int code_of(const std::vector<int>& codes, int launcher_code = 1) {
  return end_of_attempt(said(codes), "mpirun", launcher_code).code;
}

TEST(EndOfAttempt, IsWhatTheRanksSaid) {
  EXPECT_EQ(code_of({0, 0}, 0), 0);
  EXPECT_EQ(code_of({0, 0}, 137), 0) << "whatever the launcher makes of it";
  EXPECT_EQ(code_of({0, 0}, 2), 2) << "bad news that is no failure";
  EXPECT_EQ(code_of({75, 75}), 75);
  EXPECT_EQ(code_of({6, 3, 6}), 3) << "the others only followed";
  EXPECT_EQ(code_of({6, 6, -1}), 6);
  EXPECT_EQ(code_of({0, -1}), 6);
  EXPECT_EQ(code_of({75, -1}), 75) << "one that was killed on its way out has saved";
}

TEST(EndOfAttempt, ALaunchThatReturnsZeroWithoutAWordHasFailed) {
  JobPicture picture = said({-1, -1});
  for (watch::RankPicture& rank : picture.ranks) rank.presence = Presence::expected;
  const AttemptEnd end = end_of_attempt(picture, "srun", 0);
  EXPECT_EQ(end.code, 6);
  EXPECT_FALSE(end.by_ranks);
  EXPECT_THAT(end.why, HasSubstr("srun ended with code 0 before any rank had joined"));
}

TEST(EndOfAttempt, WithoutAWordTheLaunchersCodeCountsWhereItIsARanks) {
  EXPECT_EQ(code_of({-1, -1}, 3), 3);
  EXPECT_EQ(code_of({-1, -1}, 213), 6);
  EXPECT_THAT(end_of_attempt(said({-1}), "mpirun", -SIGKILL).why, HasSubstr("ended by signal 9"));
}

TEST(EndOfAttempt, OfRanksThatNeverCalledTheLauncherTells) {
  JobPicture picture = said({0, -1});
  picture.ranks[1].presence = Presence::expected;
  EXPECT_EQ(end_of_attempt(picture, "mpirun", 0).code, 0) << "it could not call, and all went well";
  EXPECT_EQ(end_of_attempt(picture, "mpirun", -SIGKILL).code, 6);
  const AttemptEnd end = end_of_attempt(picture, "mpirun", 3);
  EXPECT_EQ(end.code, 3);
  EXPECT_THAT(end.why, HasSubstr("mpirun ended with code 3; 1 of 2 ranks never reached the supervisor"));
  picture.ranks[0].exit_code = 75;
  EXPECT_EQ(end_of_attempt(picture, "mpirun", 75).code, 75);
}

AttemptEnd ended(int code) {
  return {code, true, ""};
}

TEST(RestartPolicy, WhatStartingAgainWouldNotMendIsNotTried) {
  for (const int code : {2, 3, 7, 130}) {
    RestartPolicy policy({});
    const RestartDecision decision = policy.decide(ended(code), 100, true, 0);
    EXPECT_FALSE(decision.again);
    EXPECT_EQ(decision.exit_code, code);
  }
  EXPECT_FALSE(RestartPolicy({}).decide(ended(5), 0, false, 0).again) << "it never fitted";
  EXPECT_TRUE(RestartPolicy({}).decide(ended(5), 100, true, 0).again);
  EXPECT_FALSE(RestartPolicy({}).decide(ended(6), 100, true, 0, false).again) << "only train goes on";
}

TEST(RestartPolicy, StorageThatFailsTheFirstAttemptAtItsStartIsNotTriedAgain) {
  EXPECT_FALSE(RestartPolicy({}).decide(ended(4), 0, false, 0).again) << "the folder is in use, or cannot be made";
  EXPECT_TRUE(RestartPolicy({}).decide(ended(4), 10, true, 0).again);
  RestartPolicy later({});
  EXPECT_TRUE(later.decide(ended(6), 10, true, 0).again);
  EXPECT_TRUE(later.decide(ended(4), 10, false, 1).again) << "a dead host's lock may be in the way";
}

TEST(RestartPolicy, DoneAndPreemptedAreNoFailures) {
  for (const int code : {0, 75}) {
    const RestartDecision decision = RestartPolicy({}).decide(ended(code), 100, true, 0);
    EXPECT_FALSE(decision.again);
    EXPECT_EQ(decision.exit_code, code);
    EXPECT_EQ(decision.why, "");
  }
}

TEST(RestartPolicy, StartsAgainAtOnceAfterProgressAndBacksOffWithout) {
  RestartPolicy policy({.most_futile = 100});
  EXPECT_EQ(policy.decide(ended(6), 10, true, 0).delay_s, 0);
  for (const double delay_s : {1, 2, 4, 8, 16, 30, 30})
    EXPECT_EQ(policy.decide(ended(6), 10, true, 0).delay_s, delay_s);
  EXPECT_EQ(policy.decide(ended(6), 11, true, 0).delay_s, 0);
  EXPECT_EQ(policy.decide(ended(6), 11, true, 0).delay_s, 1);
}

TEST(RestartPolicy, GivesUpWhereItGetsNoFurther) {
  RestartPolicy policy({});
  EXPECT_TRUE(policy.decide(ended(6), 50, true, 0).again);
  EXPECT_TRUE(policy.decide(ended(6), 50, true, 1).again);
  EXPECT_TRUE(policy.decide(ended(4), 40, true, 2).again);
  const RestartDecision decision = policy.decide(ended(4), 50, true, 3);
  EXPECT_FALSE(decision.again);
  EXPECT_EQ(decision.exit_code, 4);
  EXPECT_THAT(decision.why, HasSubstr("3 attempts in a row got no further than step 50"));
  EXPECT_THAT(decision.why, HasSubstr("The same command goes on from there"));
}

TEST(RestartPolicy, RestartsAreCountedInASlidingWindow) {
  RestartPolicy policy({.most_restarts = 2, .window_s = 100});
  std::int64_t step = 0;
  EXPECT_TRUE(policy.decide(ended(6), ++step, true, 0).again);
  EXPECT_TRUE(policy.decide(ended(6), ++step, true, 60).again);
  const RestartDecision decision = policy.decide(ended(6), ++step, true, 99);
  EXPECT_FALSE(decision.again);
  EXPECT_THAT(decision.why, HasSubstr("--max-restarts"));
  EXPECT_TRUE(policy.decide(ended(6), ++step, true, 101).again) << "the first one counts no more";
  EXPECT_FALSE(policy.decide(ended(6), ++step, true, 102).again);
}

TEST(RestartPolicy, NoneAtAllCanBeAskedFor) {
  EXPECT_FALSE(RestartPolicy({.most_restarts = 0}).decide(ended(6), 5, true, 0).again);
}

}  // namespace
}  // namespace athanor
