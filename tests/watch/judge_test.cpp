// What the judge says of pictures, in simulated time: silence, loss, standstill. Stragglers: stragglers_test.cpp.
#include "watch/judge.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/watch/picture.h"

namespace athanor::watch {
namespace {

using testing::call;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using testing::stall;
using testing::training_job;

/// The findings of one kind.
std::vector<Finding> of_kind(const std::vector<Finding>& findings, FindingKind kind) {
  std::vector<Finding> some;
  for (const Finding& finding : findings) {
    if (finding.kind == kind) some.push_back(finding);
  }
  return some;
}

TEST(Judge, SaysNothingOfAJobThatGetsOn) {
  Judge judge;
  const JobPicture picture = training_job();
  for (int second = 0; second < 100; ++second) EXPECT_THAT(judge.look(picture, second), IsEmpty());
}

TEST(Judge, WarnsOnceOfSilenceAndSaysWhenTheRankIsBack) {
  Judge judge;
  JobPicture picture = training_job();
  judge.look(picture, 0);
  picture.ranks[2].beat_age_s = 2.9;
  EXPECT_THAT(judge.look(picture, 1), IsEmpty());
  picture.ranks[2].beat_age_s = 3.1;
  const auto findings = judge.look(picture, 2);
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_EQ(findings[0].kind, FindingKind::silent);
  EXPECT_EQ(findings[0].ranks, std::vector<int>{2});
  EXPECT_EQ(findings[0].text,
            "rank 2 on node1 (process 102) is silent: no heartbeat for 3.1 s; when last heard, it was training step "
            "57, in 'gradients'");
  picture.ranks[2].presence = Presence::silent;
  picture.ranks[2].beat_age_s = 4.1;
  EXPECT_THAT(judge.look(picture, 3), IsEmpty());
  picture.ranks[2].beat_age_s = 0.2;
  const auto back = judge.look(picture, 4);
  ASSERT_THAT(back, SizeIs(1));
  EXPECT_EQ(back[0].kind, FindingKind::back);
  picture.ranks[2].presence = Presence::connected;
  picture.ranks[2].beat_age_s = 3.5;
  EXPECT_THAT(of_kind(judge.look(picture, 5), FindingKind::silent), SizeIs(1)) << "silent again is news again";
}

TEST(Judge, CallsLostWhatIsSilentForTenSecondsAndNamesAHostOnce) {
  Judge judge;
  JobPicture picture = training_job();
  judge.look(picture, 100);
  picture.ranks[2].beat_age_s = picture.ranks[3].beat_age_s = 10.2;
  const auto findings = of_kind(judge.look(picture, 101), FindingKind::lost);
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_TRUE(findings[0].is_fatal());
  EXPECT_EQ(findings[0].ranks, (std::vector<int>{2, 3}));
  EXPECT_THAT(findings[0].text,
              HasSubstr("ranks 2 and 3 on node1 are lost: no heartbeat for 10 s; when last heard, they were "
                        "training step 57, in 'gradients'"));
  EXPECT_THAT(judge.look(picture, 102), IsEmpty());
}

TEST(Judge, ForgivesWhatItCouldNotHearItself) {
  Judge judge;
  JobPicture picture = training_job();
  judge.look(picture, 0);
  judge.look(picture, 1);
  for (RankPicture& rank : picture.ranks) {
    rank.beat_age_s = 600;
    rank.stalled_s = 600;
  }
  EXPECT_THAT(judge.look(picture, 601), IsEmpty()) << "ten minutes were slept";
  int second = 602;
  std::vector<Finding> findings;
  while (findings.empty() && second < 700) findings = judge.look(picture, second++);
  EXPECT_EQ(second - 1, 604) << "silence counts from when it woke";
}

TEST(Judge, TheTimeoutIsTwentyStepsOrThirtySecondsOrTheRecipes) {
  Judge judge;
  JobPicture picture = training_job();
  judge.look(picture, 0);
  EXPECT_EQ(judge.timeout_s(), 30);
  for (RankPicture& rank : picture.ranks) rank.step_s = 4;
  picture.ranks[0].step_s = 400;
  judge.look(picture, 1);
  EXPECT_EQ(judge.timeout_s(), 80);
  picture.about.watchdog_timeout_s = 8;
  judge.look(picture, 2);
  EXPECT_EQ(judge.timeout_s(), 8);
}

/// The finding of a job in which nobody has got on for 31 s.
Finding standstill(JobPicture picture) {
  Judge judge;
  stall(picture, 1);
  judge.look(picture, 0);
  stall(picture, 31);
  const auto findings = of_kind(judge.look(picture, 1), FindingKind::stalled);
  if (findings.size() != 1) {
    ADD_FAILURE() << findings.size() << " findings";
    return {};
  }
  EXPECT_THAT(of_kind(judge.look(picture, 2), FindingKind::stalled), IsEmpty()) << "said once";
  return findings[0];
}

TEST(Judge, BlamesWhoHasNotEnteredWhatTheOthersWaitIn) {
  JobPicture picture = training_job();
  picture.ranks[2].activity.newest = call("gradients", 56, false);
  const Finding finding = standstill(picture);
  EXPECT_EQ(finding.ranks, std::vector<int>{2});
  EXPECT_EQ(finding.text,
            "the job has made no progress for 31 s: rank 2 on node1 (process 102), training step 57, last got on 31 s "
            "ago and has not entered 'gradients' (call 57), in which ranks 0, 1 and 3 wait");
}

TEST(Judge, BlamesWhoIsInAnEarlierCallOfTheGroup) {
  JobPicture picture = training_job();
  picture.ranks[1].activity.newest = call("agree", 55, true);
  EXPECT_EQ(standstill(picture).ranks, std::vector<int>{1});
}

TEST(Judge, BlamesWhoWaitsInAnotherGroup) {
  JobPicture picture = training_job();
  picture.ranks[3].activity.newest = call("save", 99, true, 8, 1);
  EXPECT_EQ(standstill(picture).ranks, std::vector<int>{3});
}

TEST(Judge, BlamesAnotherShapeAndAnotherCall) {
  JobPicture picture = training_job();
  picture.ranks[1].activity.newest = call("gradients", 57, true, 8192);
  const Finding shape = standstill(picture);
  EXPECT_EQ(shape.ranks, std::vector<int>{1});
  EXPECT_THAT(shape.text,
              HasSubstr("entered 'gradients' (call 57) with another shape: 8192 bytes, the others with 4096"));
  picture.ranks[1].activity.newest = call("statistics", 57, true);
  const Finding other = standstill(picture);
  EXPECT_EQ(other.ranks, std::vector<int>{1});
  EXPECT_THAT(other.text, HasSubstr("entered 'statistics' (call 57), where the others entered 'gradients'"));
}

TEST(Judge, BlamesASilentRankAndOneThatHasLeft) {
  JobPicture picture = training_job();
  picture.ranks[3].presence = Presence::silent;
  picture.ranks[3].beat_age_s = 5;
  EXPECT_EQ(standstill(picture).ranks, std::vector<int>{3});
  picture = training_job();
  picture.ranks[0].presence = Presence::left;
  picture.ranks[0].exit_code = 0;
  const Finding left = standstill(picture);
  EXPECT_EQ(left.ranks, std::vector<int>{0});
  EXPECT_THAT(left.text, HasSubstr("has ended, with exit code 0; ranks 1-3 wait in 'gradients' (call 57)"));
}

TEST(Judge, BlamesNobodyWhereAllWaitAlike) {
  const Finding finding = standstill(training_job());
  EXPECT_THAT(finding.ranks, IsEmpty());
  EXPECT_THAT(finding.text, HasSubstr("ranks 0-3 wait in 'gradients' (call 57), and none of them gets on"));
}

TEST(Judge, OneRankThatGetsOnIsEnough) {
  Judge judge;
  JobPicture picture = training_job();
  judge.look(picture, 0);
  stall(picture, 100);
  picture.ranks[0].stalled_s = 5;
  EXPECT_THAT(judge.look(picture, 1), IsEmpty());
}

TEST(Judge, ALongFirstStepIsNoStandstill) {
  Judge judge;
  JobPicture picture = training_job();
  for (RankPicture& rank : picture.ranks) rank.step_s = 0;
  picture.ranks[2].activity.newest = call("agree", 56, false);
  judge.look(picture, 0);
  stall(picture, 300);
  EXPECT_THAT(of_kind(judge.look(picture, 1), FindingKind::stalled), IsEmpty());
  stall(picture, 1801);
  EXPECT_THAT(of_kind(judge.look(picture, 2), FindingKind::stalled), SizeIs(1)) << "but not for ever";
  Judge another;
  stall(picture, 1);
  another.look(picture, 0);
  stall(picture, 31);
  picture.ranks[0].step_s = 0.01;
  EXPECT_THAT(of_kind(another.look(picture, 1), FindingKind::stalled), SizeIs(1)) << "once a step is done";
}

TEST(Judge, WarnsOnceWhereAPhaseThatMayTakeLongTakesLongerThanTheTimeout) {
  Judge judge;
  JobPicture picture = training_job();
  picture.ranks[0].activity.phase = Phase::saving;
  picture.ranks[0].activity.newest = call("agree", 56, false);
  stall(picture, 29);
  EXPECT_THAT(judge.look(picture, 0), IsEmpty());
  stall(picture, 31);
  const auto findings = judge.look(picture, 1);
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_EQ(findings[0].kind, FindingKind::slow);
  EXPECT_FALSE(findings[0].is_fatal());
  EXPECT_EQ(findings[0].ranks, std::vector<int>{0});
  EXPECT_EQ(findings[0].text,
            "rank 0 on node0 (process 100) has been saving at step 57 for 31 s, and no rank gets on meanwhile; the job "
            "counts as stalled after 30.0 min of that");
  stall(picture, 60);
  EXPECT_THAT(judge.look(picture, 2), IsEmpty());
  stall(picture, 0);
  EXPECT_THAT(judge.look(picture, 3), IsEmpty());
  stall(picture, 31);
  EXPECT_THAT(of_kind(judge.look(picture, 4), FindingKind::slow), SizeIs(1)) << "again is news again";
}

TEST(Judge, WaitsLongerWhereDisksAreWaitedForAndForEverWhereNobodyAsksForProgress) {
  Judge judge;
  JobPicture picture = training_job();
  judge.look(picture, 0);
  stall(picture, 1000);
  picture.ranks[0].activity.phase = Phase::saving;
  EXPECT_THAT(of_kind(judge.look(picture, 1), FindingKind::stalled), IsEmpty());
  stall(picture, 1801);
  picture.ranks[0].activity.phase = Phase::unwatched;
  EXPECT_THAT(judge.look(picture, 2), IsEmpty());
  picture.ranks[0].activity.phase = Phase::saving;
  EXPECT_THAT(of_kind(judge.look(picture, 3), FindingKind::stalled), SizeIs(1));
}

}  // namespace
}  // namespace athanor::watch
