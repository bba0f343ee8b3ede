// A peer that is lost ends the process in bounded time, with rank, host, step and bucket in the message: also inside
// the replay of a graph, and where the library's abort does not return.
#include "backend/cuda/group_watchdog.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <future>

#include "backend/cuda/group_reduction.h"
#include "gpu/reduction/rank_rig.h"
#include "gpu/support/thread_ranks.h"

namespace athanor::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::HasSubstr;

/// Operations of a rank in one step of two buckets, the first long and the second short: halving and doubling (2 ranks:
/// 1 + 1), one exchange, the reports' sum.
constexpr int kOperationsOfAStep = 4;

/// A group whose messages stop, and what was said about it.
struct Hang {
  GroupFaults faults;
  bool captured = false;
};

/// Two ranks take steps until the watchdog of each speaks up; returns what they said.
std::vector<std::string> messages_of(const Hang& hang) {
  std::vector<std::promise<std::string>> said(2);
  std::vector<std::string> messages(2);
  run_ranks(2, [&](Communicator& communicator) {
    const auto rank = static_cast<std::size_t>(communicator.rank());
    // An abort that hangs never ends: neither do the objects that it works with.
    auto* device =
        new EmulatedDevice({.ordinal = communicator.rank(), .group_faults = rank == 1 ? hang.faults : GroupFaults{}});
    auto* plan = new Plan(bucket_plan(2, {50'000, 100}));
    std::vector<std::byte> bytes = device->make_group_key();
    communicator.broadcast(bytes.data(), bytes.size(), 0, "key");
    auto reduction = std::make_unique<cuda::GroupReduction>(
        *device, device->make_group(bytes, communicator.rank(), 2, 10), communicator, *plan,
        cuda::DeviceReductionOptions{.timeout_s = 0.6},
        cuda::WatchdogOptions{.poll_s = 0.02, .abort_s = 0.2, .leave = [&said, rank](const std::string& message) {
                                said[rank].set_value(message);
                              }});
    auto* rig = new RankRig(*device, *plan, std::move(reduction));
    rig->set_gradients(1);
    cuda::GraphExec graph{};
    if (hang.captured) {
      rig->reduction().set_capturing(true);
      device->begin_capture(cuda::Stream::compute);
      rig->enqueue_step(0);
      graph = device->end_capture(cuda::Stream::compute);
      rig->reduction().set_capturing(false);
    }
    for (int step = 41; step < 44; ++step) {
      rig->reduction().set_step(step);
      rig->reduction().begin_step({}, 0);
      hang.captured ? device->launch(graph, cuda::Stream::compute) : rig->enqueue_step(0);
    }
    auto message = said[rank].get_future();
    ASSERT_EQ(message.wait_for(20s), std::future_status::ready) << "the watchdog of rank " << rank << " says nothing";
    messages[rank] = message.get();
    if (hang.faults.abort_hangs) return;
    device->synchronize();
    delete rig;
    delete device;
    delete plan;
  });
  return messages;
}

TEST(GroupWatchdog, ASilentPeerIsNamedWithStepAndBucket) {
  for (const bool captured : {false, true}) {
    // In the second step, the second operation of its first bucket.
    const auto messages = messages_of({.faults = {.hang_at = kOperationsOfAStep + 1}, .captured = captured});
    for (std::size_t rank = 0; rank < 2; ++rank) {
      EXPECT_THAT(messages[rank], AllOf(HasSubstr("rank " + std::to_string(rank) + " on testhost"),
                                        HasSubstr("gradient bucket 0 of step 42"), HasSubstr("has not ended within")));
    }
  }
}

TEST(GroupWatchdog, AnErrorOfTheLibraryIsPassedOnWithItsWords) {
  const auto messages = messages_of({.faults = {.fail_at = kOperationsOfAStep + 2}, .captured = true});
  EXPECT_THAT(messages[1], AllOf(HasSubstr("rank 1"), HasSubstr("failed: ")));
  EXPECT_THAT(messages[0], AllOf(HasSubstr("rank 0"), HasSubstr("failed: ")));
}

TEST(GroupWatchdog, AnAbortThatHangsHoldsNobodyUp) {
  const auto start = std::chrono::steady_clock::now();
  const auto messages = messages_of({.faults = {.hang_at = kOperationsOfAStep + 3, .abort_hangs = true}});
  EXPECT_THAT(messages[1], HasSubstr("the exchange of reports after step 42"));
  EXPECT_LT(std::chrono::steady_clock::now() - start, 15s);
}

TEST(GroupWatchdog, SaysNothingWhileAllIsWellAndNobodySteps) {
  std::atomic<int> left = 0;
  run_ranks(2, [&](Communicator& communicator) {
    EmulatedDevice device({.ordinal = communicator.rank()});
    const Plan plan = bucket_plan(2, {50'000, 100});
    std::vector<std::byte> key = device.make_group_key();
    communicator.broadcast(key.data(), key.size(), 0, "key");
    RankRig rig(device, plan,
                std::make_unique<cuda::GroupReduction>(
                    device, device.make_group(key, communicator.rank(), 2, 10), communicator, plan,
                    cuda::DeviceReductionOptions{.timeout_s = 1},
                    cuda::WatchdogOptions{.poll_s = 0.01, .leave = [&](const std::string&) { ++left; }}));
    rig.set_gradients(1);
    for (int step = 0; step < 2; ++step) {
      rig.reduction().begin_step({}, 0);
      rig.enqueue_step(0);
      device.synchronize();
      std::this_thread::sleep_for(1200ms);
    }
  });
  EXPECT_EQ(left, 0);
}

}  // namespace
}  // namespace athanor::testing
