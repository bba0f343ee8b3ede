// A rank that goes without a good-bye is noticed by all others, one that says it is not.
#include "comm/heartbeats.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "distributed/world.h"
#include "watch/heartbeat_client.h"

namespace athanor::distributed_test {
namespace {

/// Asks until there is a verdict; none after ten seconds.
std::optional<Failure> wait_for_verdict(watch::HeartbeatClient& client) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (std::chrono::steady_clock::now() < deadline) {
    if (std::optional<Failure> verdict = client.verdict()) return verdict;
    std::this_thread::yield();
  }
  return std::nullopt;
}

TEST(Heartbeats, ARankThatGoesIsNoticedByAllOthersAndNamed) {
  if (world().size() == 1) GTEST_SKIP() << "needs a second rank";
  auto heartbeats = std::make_unique<Heartbeats>(world());
  ASSERT_NE(heartbeats->client(), nullptr);
  EXPECT_FALSE(heartbeats->client()->verdict().has_value());
  world().barrier("test");
  const int victim = world().size() - 1;
  if (world().rank() == victim) {
    heartbeats->client()->keep_silent();
    heartbeats.reset();
  } else {
    const std::optional<Failure> verdict = wait_for_verdict(*heartbeats->client());
    ASSERT_TRUE(verdict.has_value());
    EXPECT_EQ(verdict->code, ExitCode::peer);
    EXPECT_THAT(verdict->message, ::testing::HasSubstr(world().name_of(victim)));
    EXPECT_TRUE(heartbeats->client()->is_told_to_all());
  }
  // Nobody takes the service away before all have heard it.
  world().barrier("test");
}

TEST(Heartbeats, AGoodByeIsNoLoss) {
  auto heartbeats = std::make_unique<Heartbeats>(world());
  const bool leaves = world().rank() > 0 && world().rank() == world().size() - 1;
  if (leaves) heartbeats.reset();
  world().barrier("test");
  if (!leaves && heartbeats->client() != nullptr) {
    EXPECT_FALSE(heartbeats->client()->verdict().has_value());
  }
  world().barrier("test");
}

TEST(Heartbeats, AWorldOfOneWithoutASupervisorHasNone) {
  if (world().size() > 1) GTEST_SKIP() << "needs a world of one";
  EXPECT_EQ(Heartbeats(world()).client(), nullptr);
}

TEST(Heartbeats, ACallThatIsUnderWayStandsOnTheBoard) {
  watch::Activity& activity = world().activity();
  const std::uint64_t before = activity.snapshot().progress;
  double word = 1;
  world().all_reduce(&word, 1, DType::f64, ReduceOp::sum, "on the board");
  const watch::ActivitySnapshot after = activity.snapshot();
  if (world().backend() == "self") GTEST_SKIP() << "a process alone makes no calls";
  EXPECT_GT(after.progress, before);
  EXPECT_STREQ(after.newest.name.data(), "on the board");
  EXPECT_EQ(after.newest.bytes, sizeof word);
  EXPECT_GT(after.newest.ended_ns, 0);
}

}  // namespace
}  // namespace athanor::distributed_test
