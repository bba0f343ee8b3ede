// After two steps all memory that a step touches is there: no step asks the kernel for a page any more.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <limits>

#include "allocation/counter.h"
#include "backend/cpu/arena.h"
#include "support/training_rig.h"

namespace athanor::testing {
namespace {

long page_faults() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_minflt;
}

/// Of all threads, in the step after two that had the fewest. The kernel adds some when it moves pages or puts them
/// together into large ones, and takes none away: what a step causes itself is in every one. Stops at none.
long fewest_page_faults_of_a_step(TrainingRig& rig) {
  constexpr int kMostSteps = 200;
  rig.load(1);
  for (int step = 1; step <= 2; ++step) rig.step(step);
  long fewest = std::numeric_limits<long>::max();
  for (int step = 3; step < kMostSteps && fewest > 0; ++step) {
    const long before = page_faults();
    rig.step(step);
    fewest = std::min(fewest, page_faults() - before);
  }
  return fewest;
}

void expect_none(int shards, int lanes, int threads) {
  if (!can_count_allocations()) GTEST_SKIP() << "the sanitizer's own memory grows as it likes";
  ModelSpec model;
  model.name = "se_cifar_resnet";
  model.attributes = {{"depth", std::int64_t{20}}};
  TrainingRig rig({.model = model,
                   .optimizer = make_optimizer("sgd", {{"lr", 0.01}, {"momentum", 0.9}}),
                   .batch = 8,
                   .shards = shards,
                   .lanes = lanes,
                   .threads = threads});
  EXPECT_EQ(fewest_page_faults_of_a_step(rig), 0);
}

TEST(PageFaults, AStepOfLanesSideBySideHasNone) {
  expect_none(4, 2, 1);
}

TEST(PageFaults, AStepOfAShardSharedByThreadsHasNone) {
  expect_none(1, 1, 2);
}

/// The counter sees memory that is touched for the first time, so that the tests above can fail.
TEST(PageFaults, AreSeenWhereMemoryIsNew) {
  if (!can_count_allocations()) GTEST_SKIP() << "the sanitizer's own memory grows as it likes";
  constexpr std::size_t kBytes = std::size_t{1} << 16;
  const long before = page_faults();
  cpu::ArenaMemory memory(kBytes);
  memory.touch();
  EXPECT_GT(page_faults(), before);
}

}  // namespace
}  // namespace athanor::testing
