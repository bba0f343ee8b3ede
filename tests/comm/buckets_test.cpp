#include "comm/buckets.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "backend/cpu/planner.h"
#include "graph/samples.h"
#include "optim/optimize_plan.h"

namespace athanor {
namespace {

using graph_test::cifar;
using graph_test::cifar_resnet;
using ::testing::SizeIs;

const Plan& resnet_plan() {
  static const Plan plan = [] {
    cpu::CpuPlanner planner(1);
    return make_plan(training_graph(cifar_resnet(20), cifar(8)), planner, 4, 1);
  }();
  return plan;
}

bool starts_a_tensor(const Plan& plan, std::int64_t element) {
  return std::any_of(plan.state.begin(), plan.state.end(),
                     [&](const StateTensor& tensor) { return static_cast<std::int64_t>(tensor.offset) == element; });
}

TEST(Buckets, CoverTheOutputsWithoutGapsAndCutBetweenTensors) {
  const Plan& plan = resnet_plan();
  const std::vector<ReduceStep> steps = plan_reduce_steps(plan, {.first = 100'000, .others = 300'000});
  ASSERT_GE(steps.size(), 3u);
  EXPECT_EQ(steps.front().range.begin, 0);
  EXPECT_EQ(steps.back().range.end, static_cast<std::int64_t>(plan.output_elements));
  for (std::size_t i = 1; i < steps.size(); ++i) {
    EXPECT_EQ(steps[i].range.begin, steps[i - 1].range.end);
    EXPECT_TRUE(starts_a_tensor(plan, steps[i].range.begin)) << steps[i].range.begin;
  }
}

TEST(Buckets, TheFirstIsSmallAndEachHoldsAtLeastItsSize) {
  const std::vector<ReduceStep> steps = plan_reduce_steps(resnet_plan(), {.first = 100'000, .others = 300'000});
  EXPECT_GE(steps.front().range.elements() * 4, 100'000);
  EXPECT_LT(steps.front().range.elements() * 4, 300'000);
  for (std::size_t i = 1; i + 1 < steps.size(); ++i) EXPECT_GE(steps[i].range.elements() * 4, 300'000);
}

TEST(Buckets, FinishOneAfterTheOtherWhileBackwardRuns) {
  const Plan& plan = resnet_plan();
  const std::vector<ReduceStep> steps = plan_reduce_steps(plan, {.first = 100'000, .others = 300'000});
  for (std::size_t i = 1; i < steps.size(); ++i) EXPECT_GT(steps[i].ready_after, steps[i - 1].ready_after);
  EXPECT_LT(steps.front().ready_after, static_cast<std::int32_t>(plan.shard.size()) * 2 / 3);
}

TEST(Buckets, OneTakesAllWhereTheModelIsSmall) {
  EXPECT_THAT(plan_reduce_steps(resnet_plan(), {.first = 1 << 30, .others = 1 << 30}), SizeIs(1));
}

TEST(Buckets, TheRecipesSizeBoundsTheFirstToo) {
  EXPECT_EQ(bucket_sizes({}).others, std::size_t{25} << 20);
  EXPECT_EQ(bucket_sizes(0.5).first, 500'000u);
  EXPECT_EQ(bucket_sizes(8).others, 8'000'000u);
  EXPECT_EQ(bucket_sizes(8).first, std::size_t{1} << 20);
}

TEST(Buckets, EveryParameterIsUpdatedOnceHoweverTheyAreCut) {
  Plan plan = resnet_plan();
  plan.reduce = plan_reduce_steps(plan, {.first = 100'000, .others = 300'000});
  const std::vector<OptimizeStep> steps = plan_optimize_steps(make_optimizer("sgd", {}), {}, plan);
  ASSERT_EQ(steps.size(), plan.reduce.size());
  std::int64_t end = 0;
  for (const OptimizeStep& step : steps) {
    for (const OptimizeSegment& segment : step.segments) {
      EXPECT_EQ(segment.range.begin, end);
      end = segment.range.end;
    }
  }
  EXPECT_EQ(end, static_cast<std::int64_t>(plan.parameter_elements));
}

TEST(Buckets, TheFingerprintOfAPlanKnowsThem) {
  Plan one = resnet_plan(), two = resnet_plan();
  one.reduce = plan_reduce_steps(one, {.first = 100'000, .others = 300'000});
  two.reduce = plan_reduce_steps(two, {});
  EXPECT_NE(one.fingerprint(), two.fingerprint());
}

}  // namespace
}  // namespace athanor
