#include "train/stopping_bound.h"

#include <gtest/gtest.h>

namespace athanor {
namespace {

TEST(StoppingBound, HoldsOnlyAfterARequestAndLeavesTimeForLongSteps) {
  const auto communicator = make_self_communicator();
  const StopSignals stop;
  StoppingBound bound(*communicator, stop);
  bound.set(true);
  bound.note_step(0.1);
  EXPECT_FALSE(bound.limit_s());
  raise(SIGUSR2);
  EXPECT_EQ(bound.limit_s(), 5.0);
  bound.note_step(10);
  bound.note_step(0.2);
  EXPECT_EQ(bound.limit_s(), 30.0);
  bound.set(false);
  EXPECT_FALSE(bound.limit_s());
}

TEST(StoppingBound, DoesNotHoldBeforeAStepHasTakenItsTime) {
  const auto communicator = make_self_communicator();
  const StopSignals stop;
  StoppingBound bound(*communicator, stop);
  bound.set(true);
  raise(SIGUSR2);
  EXPECT_FALSE(bound.limit_s());
}

}  // namespace
}  // namespace athanor
