// A rank that goes without a good-bye is noticed by all others, one that says it is not.
#include "comm/life_lines.h"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "distributed/world.h"

namespace athanor::distributed_test {
namespace {

/// Asks until somebody is gone; −1 after ten seconds.
int wait_for_gone(LifeLines& lines) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (std::chrono::steady_clock::now() < deadline) {
    const int gone = lines.find_gone();
    if (gone >= 0) return gone;
    std::this_thread::yield();
  }
  return -1;
}

void expect_all_notice(int victim) {
  auto lines = std::make_unique<LifeLines>(world());
  EXPECT_EQ(lines->find_gone(), -1);
  world().barrier("test");
  if (world().rank() == victim) {
    lines->keep_silent();
    lines.reset();
  } else {
    EXPECT_EQ(wait_for_gone(*lines), victim);
  }
  world().barrier("test");
}

TEST(LifeLines, ARankThatGoesIsNoticedByAllOthers) {
  if (world().size() == 1) GTEST_SKIP() << "needs a second rank";
  expect_all_notice(world().size() - 1);
}

TEST(LifeLines, SoIsTheFirstRank) {
  if (world().size() == 1) GTEST_SKIP() << "needs a second rank";
  expect_all_notice(0);
}

TEST(LifeLines, AGoodByeIsNoLoss) {
  auto lines = std::make_unique<LifeLines>(world());
  const bool leaves = world().rank() > 0 && world().rank() == world().size() - 1;
  if (leaves) lines.reset();
  world().barrier("test");
  if (!leaves) {
    EXPECT_EQ(lines->find_gone(), -1);
  }
  world().barrier("test");
}

}  // namespace
}  // namespace athanor::distributed_test
