// The board of a rank: what threads write is what a reader sees, whole.
#include "watch/activity.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

namespace athanor::watch {
namespace {

TEST(ActivityBoard, ShowsPhaseStepAndTimes) {
  Activity activity;
  EXPECT_EQ(activity.snapshot().phase, Phase::unwatched);
  EXPECT_EQ(activity.snapshot().step, 0);
  activity.set_phase(Phase::training);
  activity.begin_step(3);
  activity.note_step(0.5, 0.25, 0.125, 0.0625);
  activity.note_step(0.5, 0.25, 0.125, 0.0625);
  const ActivitySnapshot seen = activity.snapshot();
  EXPECT_EQ(seen.phase, Phase::training);
  EXPECT_EQ(seen.step, 3);
  EXPECT_EQ(seen.times.steps, 2);
  EXPECT_EQ(seen.times.step_s, 1.0);
  EXPECT_EQ(seen.times.comm_wait_s, 0.125);
}

TEST(ActivityBoard, EverythingThatHappensIsProgress) {
  Activity activity;
  std::uint64_t before = activity.snapshot().progress;
  const auto grows = [&] {
    const ActivitySnapshot seen = activity.snapshot();
    const bool has_grown = seen.progress > before && seen.progress_ns > 0;
    before = seen.progress;
    return has_grown;
  };
  EXPECT_FALSE(grows());
  activity.set_phase(Phase::saving);
  EXPECT_TRUE(grows());
  activity.begin_step(1);
  EXPECT_TRUE(grows());
  activity.note_progress();
  EXPECT_TRUE(grows());
  activity.note_step(1, 1, 0, 0);
  EXPECT_TRUE(grows());
  const std::uint32_t ticket = activity.enter("gradients", 0, 1, 8);
  EXPECT_TRUE(grows());
  activity.leave(ticket);
  EXPECT_TRUE(grows());
}

TEST(ActivityBoard, TheNewestCallIsTheOneThatHasNotReturned) {
  Activity activity;
  const std::uint32_t gradients = activity.enter("gradients", 1, 57, 4096);
  activity.leave(activity.enter("agree", 0, 12, 4));
  EXPECT_STREQ(activity.snapshot().newest.name.data(), "gradients");
  EXPECT_EQ(activity.snapshot().newest.sequence, 57U);
  EXPECT_EQ(activity.snapshot().newest.ended_ns, 0);
  activity.leave(gradients);
  EXPECT_STREQ(activity.snapshot().newest.name.data(), "agree");
  EXPECT_GT(activity.snapshot().newest.ended_ns, 0);
}

TEST(ActivityBoard, KeepsTheNewestCallsInOrder) {
  Activity activity;
  EXPECT_TRUE(activity.ring().empty());
  for (std::uint64_t i = 1; i <= 100; ++i) activity.leave(activity.enter("a name far longer than is kept", 0, i, i));
  const std::vector<Collective> ring = activity.ring();
  ASSERT_EQ(ring.size(), Activity::kRing);
  EXPECT_EQ(ring.front().sequence, 101 - Activity::kRing);
  EXPECT_EQ(ring.back().sequence, 100U);
  EXPECT_STREQ(ring.back().name.data(), "a name far longer than ");
}

TEST(ActivityBoard, ATicketThatIsOverEndsNoOtherCall) {
  Activity activity;
  const std::uint32_t old = activity.enter("old", 0, 1, 8);
  for (std::uint64_t i = 2; i <= Activity::kRing; ++i) activity.leave(activity.enter("between", 0, i, 8));
  activity.enter("new", 0, 65, 8);
  activity.leave(old);
  EXPECT_STREQ(activity.snapshot().newest.name.data(), "new");
  EXPECT_EQ(activity.snapshot().newest.ended_ns, 0);
}

TEST(ActivityBoard, AReaderNeverSeesHalfOfACall) {
  Activity activity;
  std::atomic<bool> is_over{false};
  std::vector<std::thread> writers;
  for (const char* name : {"aaaaaaaaaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbbbbbbbbb"}) {
    writers.emplace_back([&, name] {
      const std::uint64_t number = name[0] == 'a' ? 1 : 2;
      while (!is_over) activity.leave(activity.enter(name, static_cast<std::uint32_t>(number), number, number));
    });
  }
  for (int i = 0; i < 2000; ++i) {
    for (const Collective& call : activity.ring()) {
      const std::uint64_t number = call.name[0] == 'a' ? 1 : 2;
      EXPECT_EQ(call.name[0], call.name[22]);
      EXPECT_EQ(call.group, number);
      EXPECT_EQ(call.sequence, number);
      EXPECT_EQ(call.bytes, number);
    }
  }
  is_over = true;
  for (std::thread& writer : writers) writer.join();
}

TEST(ActivityBoard, APhaseEndsWithItsScope) {
  Activity activity;
  activity.set_phase(Phase::training);
  {
    const PhaseScope saving(activity, Phase::saving);
    EXPECT_EQ(activity.phase(), Phase::saving);
  }
  EXPECT_EQ(activity.phase(), Phase::training);
}

}  // namespace
}  // namespace athanor::watch
