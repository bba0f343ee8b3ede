// The step loop allocates nothing of ours, the libraries' own allocations do not grow with the steps, and no page of
// memory becomes real in it.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstdio>

#include "allocation/counter.h"
#include "graph/layer.h"
#include "support/training_rig.h"

namespace athanor::testing {
namespace {

/// The ranks that mpirun started, or this process alone. MPI's own allocations are a library's.
Communicator& ranks() {
  static const std::unique_ptr<Communicator> communicator = make_communicator();
  return *communicator;
}

/// Per step, after two that warm the libraries' caches up. The loading of the batch belongs to the loader.
std::vector<AllocationCount> allocations_by_step(TrainingRig& rig, int steps) {
  rig.load(1);
  for (int step = 1; step <= 2; ++step) rig.step(step);
  std::vector<AllocationCount> counts(static_cast<std::size_t>(steps));
  for (int step = 0; step < steps; ++step) {
    counts[static_cast<std::size_t>(step)] = allocations_during([&] { rig.step(3 + step); });
  }
  return counts;
}

TrainingRig::Options options_for(const ModelSpec& model, double recomputed_work) {
  return {.model = model,
          .optimizer = make_optimizer("sgd", {{"lr", 0.01}, {"momentum", 0.9}}),
          .batch = 8,
          .shards = 4,
          .lanes = 2,
          .communicator = &ranks(),
          .recomputed_work = recomputed_work};
}

void expect_none_of_ours(const ModelSpec& model, double recomputed_work = 0) {
  if (!can_count_allocations()) GTEST_SKIP() << "the sanitizer brings an allocator of its own";
  TrainingRig rig(options_for(model, recomputed_work));
  const std::vector<AllocationCount> counts = allocations_by_step(rig, 4);
  std::printf("the libraries' own allocations: %ld for each step\n", counts.front().libraries);
  for (const AllocationCount& count : counts) {
    EXPECT_EQ(count.ours, 0);
    // MPI allocates when messages come early, which they do as they like.
    if (ranks().size() > 1) continue;
    EXPECT_EQ(count.libraries, counts.front().libraries) << "the libraries' allocations differ from step to step";
  }
}

TEST(StepLoop, AllocatesNothingWithoutOneDnn) {
  ModelSpec model;
  model.build = [](Builder& builder, ValueId x) {
    const ValueId wide = builder.add1("shortcut_a", {x}, {{"stride", std::int64_t{2}}, {"channels", std::int64_t{10}}});
    ValueId y = build_layer(builder, wide, "batch_norm", {}, "bn");
    y = build_layer(builder, y, "relu", {}, "relu");
    y = build_layer(builder, y, "dropout", {{"rate", 0.25}}, "dropout");
    return build_layer(builder, y, "global_avg_pool", {}, "pool");
  };
  expect_none_of_ours(model);
}

TEST(StepLoop, AllocatesNothingWhereShardsMeet) {
  ModelSpec model;
  model.build = [](Builder& builder, ValueId x) {
    const ValueId wide = builder.add1("shortcut_a", {x}, {{"stride", std::int64_t{2}}, {"channels", std::int64_t{10}}});
    const ValueId y = build_layer(builder, wide, "batch_norm", {{"synchronized", true}}, "bn");
    return build_layer(builder, y, "global_avg_pool", {}, "pool");
  };
  expect_none_of_ours(model);
}

ModelSpec small_residual() {
  ModelSpec model;
  model.name = "se_cifar_resnet";
  model.attributes = {{"depth", std::int64_t{8}}};
  return model;
}

TEST(StepLoop, AllocatesNothingOfOursWithOneDnn) {
  expect_none_of_ours(small_residual());
}

TEST(StepLoop, AllocatesNothingWhereActivationsAreMadeAgain) {
  expect_none_of_ours(small_residual(), 0.5);
}

/// Of all threads of the process.
long minor_page_faults() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_minflt;
}

TEST(StepLoop, TouchesNoNewPageAfterTheSecondStep) {
  if (!can_count_allocations()) GTEST_SKIP() << "the sanitizer brings an allocator of its own";
  TrainingRig rig(options_for(small_residual(), 0));
  rig.load(1);
  for (int step = 1; step <= 2; ++step) rig.step(step);
  constexpr int kSteps = 10;
  long fewest = -1, sum = 0;
  for (int step = 3; step < 3 + kSteps; ++step) {
    const long before = minor_page_faults();
    rig.step(step);
    const long faults = minor_page_faults() - before;
    sum += faults;
    fewest = fewest < 0 ? faults : std::min(fewest, faults);
  }
  std::printf("%ld page faults in %d steps\n", sum, kSteps);
  // The system may take a page away now and then; memory that a step asks for anew faults in every one.
  EXPECT_EQ(fewest, 0);
}

}  // namespace
}  // namespace athanor::testing
