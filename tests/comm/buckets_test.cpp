#include "comm/buckets.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "backend/cpu/planner.h"
#include "graph/samples.h"
#include "kernels/reduce.h"
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

TEST(Buckets, CoverTheOutputsOnceAndCutBetweenBlocks) {
  const Plan& plan = resnet_plan();
  const std::vector<ReduceStep> steps = plan_reduce_steps(plan, {.first = 100'000, .others = 300'000});
  ASSERT_GE(steps.size(), 4u);
  const auto parameters = static_cast<std::int64_t>(plan.parameter_elements);
  EXPECT_EQ(steps.front().range, (ArenaRange{parameters, static_cast<std::int64_t>(plan.output_elements)}));
  EXPECT_EQ(steps[1].range.begin, 0);
  EXPECT_EQ(steps.back().range.end, parameters);
  for (std::size_t i = 2; i < steps.size(); ++i) {
    EXPECT_EQ(steps[i].range.begin, steps[i - 1].range.end);
    EXPECT_EQ(steps[i].range.begin % kernels::kSumBlock, 0) << steps[i].range.begin;
  }
}

TEST(Buckets, TheFirstOfTheGradientsIsSmallAndEachHoldsAboutItsSize) {
  const std::vector<ReduceStep> steps = plan_reduce_steps(resnet_plan(), {.first = 100'000, .others = 300'000});
  EXPECT_GE(steps[1].range.elements() * 4, 100'000);
  EXPECT_LT(steps[1].range.elements() * 4, 300'000);
  for (std::size_t i = 2; i + 1 < steps.size(); ++i) EXPECT_GE(steps[i].range.elements() * 4, 300'000);
}

TEST(Buckets, FinishOneAfterTheOtherWhileBackwardRuns) {
  const Plan& plan = resnet_plan();
  const std::vector<ReduceStep> steps = plan_reduce_steps(plan, {.first = 100'000, .others = 300'000});
  for (std::size_t i = 1; i < steps.size(); ++i) EXPECT_GT(steps[i].ready_after, steps[i - 1].ready_after);
  EXPECT_LT(steps[1].ready_after, static_cast<std::int32_t>(plan.shard.size()) * 2 / 3);
}

TEST(Buckets, MetricsAndStatisticsAreCompleteBeforeBackwardBegins) {
  const Plan& plan = resnet_plan();
  const ReduceStep first = plan_reduce_steps(plan, {}).front();
  for (std::size_t step = 0; step < plan.shard.size(); ++step) {
    const bool is_backward = plan.graph.node(plan.shard[step].node).phase == Phase::backward;
    if (is_backward) {
      EXPECT_LE(first.ready_after, static_cast<std::int32_t>(step));
      return;
    }
  }
  FAIL() << "a training plan without a backward step";
}

TEST(Buckets, OneTakesAllGradientsWhereTheModelIsSmall) {
  EXPECT_THAT(plan_reduce_steps(resnet_plan(), {.first = 1 << 30, .others = 1 << 30}), SizeIs(2));
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
  ASSERT_EQ(steps.size(), plan.reduce.size() - 1) << "an update for each bucket but that of statistics and metrics";
  std::int64_t end = 0;
  for (const OptimizeStep& step : steps) {
    for (const OptimizeSegment& segment : step.segments) {
      EXPECT_EQ(segment.range.begin, end);
      end = segment.range.end;
    }
  }
  EXPECT_EQ(end, static_cast<std::int64_t>(plan.parameter_elements));
}

TEST(Buckets, TheFingerprintOfAPlanDoesNotKnowThemSinceBitsDoNotEither) {
  Plan one = resnet_plan(), two = resnet_plan();
  one.reduce = plan_reduce_steps(one, {.first = 100'000, .others = 300'000});
  two.reduce = plan_reduce_steps(two, {});
  const OptimizerSpec sgd = make_optimizer("sgd", {});
  one.optimize = plan_optimize_steps(sgd, {}, one);
  two.optimize = plan_optimize_steps(sgd, {}, two);
  ASSERT_NE(one.optimize.size(), two.optimize.size());
  EXPECT_EQ(one.fingerprint(), two.fingerprint());
  two.optimize.front().segments.front().lr_scale = 2;
  EXPECT_NE(one.fingerprint(), two.fingerprint());
}

}  // namespace
}  // namespace athanor
