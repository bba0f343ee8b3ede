// The step loop allocates nothing of ours, and the libraries' own allocations do not grow with the steps.
#include <gtest/gtest.h>

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

void expect_none_of_ours(const ModelSpec& model) {
  if (!can_count_allocations()) GTEST_SKIP() << "the sanitizer brings an allocator of its own";
  TrainingRig rig({.model = model,
                   .optimizer = make_optimizer("sgd", {{"lr", 0.01}, {"momentum", 0.9}}),
                   .batch = 8,
                   .shards = 4,
                   .lanes = 2,
                   .communicator = &ranks()});
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

TEST(StepLoop, AllocatesNothingOfOursWithOneDnn) {
  ModelSpec model;
  model.name = "se_cifar_resnet";
  model.attributes = {{"depth", std::int64_t{8}}};
  expect_none_of_ours(model);
}

}  // namespace
}  // namespace athanor::testing
