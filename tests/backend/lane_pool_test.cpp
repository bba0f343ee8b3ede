#include "backend/cpu/lane_pool.h"

#include <gtest/gtest.h>
#include <immintrin.h>
#include <pmmintrin.h>

#include <limits>
#include <thread>

#include "base/error.h"

namespace athanor::cpu {
namespace {

class LanePoolOf : public ::testing::TestWithParam<int> {};

TEST_P(LanePoolOf, RunsEveryLaneOnceAndReturnsWhenAllAreDone) {
  const int lanes = GetParam();
  LanePool pool(lanes, 1);
  EXPECT_EQ(pool.lanes(), lanes);
  // Plain numbers, not atomics: `run` must order what lanes wrote before what its caller reads.
  std::vector<int> runs(static_cast<std::size_t>(lanes), 0);
  for (int iteration = 1; iteration <= 2000; ++iteration) {
    pool.run([&](int lane) { ++runs.at(static_cast<std::size_t>(lane)); });
    for (const int count : runs) ASSERT_EQ(count, iteration);
  }
}

TEST_P(LanePoolOf, NoLanePassesASyncBeforeAllHaveReachedIt) {
  const int lanes = GetParam();
  LanePool pool(lanes, 1);
  std::vector<int> reached(static_cast<std::size_t>(lanes), 0);
  std::atomic<int> wrong{0};
  pool.run([&](int lane) {
    for (int iteration = 1; iteration <= 2000; ++iteration) {
      reached[static_cast<std::size_t>(lane)] = iteration;
      pool.sync();
      for (const int other : reached) wrong += other != iteration;
      pool.sync();
    }
  });
  EXPECT_EQ(wrong, 0);
}

TEST_P(LanePoolOf, LanesAreThreadsOfTheirOwnAndTheCallerIsTheFirst) {
  const int lanes = GetParam();
  LanePool pool(lanes, 1);
  std::vector<std::thread::id> threads(static_cast<std::size_t>(lanes));
  pool.run([&](int lane) { threads[static_cast<std::size_t>(lane)] = std::this_thread::get_id(); });
  EXPECT_EQ(threads[0], std::this_thread::get_id());
  for (std::size_t a = 0; a < threads.size(); ++a) {
    for (std::size_t b = 0; b < a; ++b) EXPECT_NE(threads[a], threads[b]);
  }
}

float half_of_the_smallest_normal() {
  volatile float smallest = std::numeric_limits<float>::min();
  return smallest * 0.5f;
}

TEST_P(LanePoolOf, FlushesDenormalsOnEveryLaneAndLeavesTheCallerAsItWas) {
  const int lanes = GetParam();
  ASSERT_GT(half_of_the_smallest_normal(), 0.0f);
  LanePool pool(lanes, 1);
  // A volatile read keeps the product from being folded; with flushing it is zero in bits, not only in comparisons.
  std::vector<float> halves(static_cast<std::size_t>(lanes), 1.0f);
  pool.run([&](int lane) { halves[static_cast<std::size_t>(lane)] = half_of_the_smallest_normal(); });
  for (const float half : halves) EXPECT_EQ(half, 0.0f);
  EXPECT_GT(half_of_the_smallest_normal(), 0.0f);
}

/// A thread of a team that was there before the pool keeps its own mode unless it is told.
TEST_P(LanePoolOf, FlushesDenormalsInEveryThreadOfATeam) {
  constexpr int kThreads = 2;
  std::atomic<int> kept{0};
#pragma omp parallel num_threads(kThreads)
  {
    _MM_SET_FLUSH_ZERO_MODE(_MM_FLUSH_ZERO_OFF);
    _MM_SET_DENORMALS_ZERO_MODE(_MM_DENORMALS_ZERO_OFF);
    kept += half_of_the_smallest_normal() > 0.0f;
  }
  EXPECT_EQ(kept, kThreads);
  LanePool pool(GetParam(), kThreads);
  std::atomic<int> flushed{0};
  pool.run([&](int) {
#pragma omp parallel num_threads(kThreads)
    flushed += half_of_the_smallest_normal() == 0.0f;
  });
  EXPECT_EQ(flushed, kThreads * GetParam());
}

TEST_P(LanePoolOf, ManyPoolsStartAndStop) {
  for (int i = 0; i < 50; ++i) {
    LanePool pool(GetParam(), 1);
    std::atomic<int> runs{0};
    if (i % 2 == 0) pool.run([&](int) { ++runs; });
    EXPECT_EQ(runs, i % 2 == 0 ? GetParam() : 0);
  }
}

TEST_P(LanePoolOf, WhatOneLaneThrowsEndsTheOthersAndReachesTheCaller) {
  const int lanes = GetParam();
  LanePool pool(lanes, 1);
  for (int failing = 0; failing < lanes; ++failing) {
    std::atomic<int> beyond{0};
    const auto work = [&](int lane) {
      pool.sync();
      if (lane == failing) throw DeviceError("lane {}", lane);
      pool.sync();
      ++beyond;
    };
    EXPECT_THROW(pool.run(work), DeviceError);
    EXPECT_EQ(beyond, 0);
    std::atomic<int> runs{0};
    pool.run([&](int) {
      pool.sync();
      ++runs;
    });
    EXPECT_EQ(runs, lanes) << "the pool works again";
  }
}

INSTANTIATE_TEST_SUITE_P(Lanes, LanePoolOf, ::testing::Values(1, 2, 3, 5));

}  // namespace
}  // namespace athanor::cpu
