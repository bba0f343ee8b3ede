// What a step tells the heartbeats costs no allocation, and neither does a beat on its way.
#include <gtest/gtest.h>

#include <thread>

#include "allocation/counter.h"
#include "watch/heartbeat_client.h"

namespace athanor {
namespace {

TEST(Heartbeats, WhatAStepSaysAllocatesNothing) {
  if (!testing::can_count_allocations()) GTEST_SKIP() << "the sanitizer brings an allocator of its own";
  watch::Activity activity;
  watch::ActivitySnapshot seen;
  const testing::AllocationCount count = testing::allocations_during([&] {
    activity.set_phase(watch::Phase::training);
    for (std::int64_t step = 1; step <= 10; ++step) {
      activity.begin_step(step);
      for (std::uint64_t bucket = 0; bucket < 12; ++bucket) {
        activity.leave(activity.enter("the gradients of a bucket", 0, bucket, 4096));
      }
      activity.note_step(0.01, 0.008, 0.001, 0.001);
    }
    activity.note_progress();
    seen = activity.snapshot();
  });
  EXPECT_EQ(count, testing::AllocationCount{});
  EXPECT_EQ(seen.step, 10);
}

TEST(Heartbeats, BeatsAllocateNothingOnTheirWay) {
  if (!testing::can_count_allocations()) GTEST_SKIP() << "the sanitizer brings an allocator of its own";
  const watch::HeartbeatService service({}, {});
  const watch::Activity activity;
  watch::ClientOptions options;
  options.beat_s = 0.002;
  const watch::HeartbeatClient client(service.invitation(), options, activity);
  const auto run = [] { std::this_thread::sleep_for(std::chrono::milliseconds(200)); };
  run();
  const std::uint64_t before = service.beats();
  const long allocations = testing::allocations_during(run).ours;
  const auto beats = static_cast<long>(service.beats() - before);
  EXPECT_GT(beats, 10);
  // What is left is one look of the judge, at most.
  EXPECT_LT(allocations, 20);
}

}  // namespace
}  // namespace athanor
