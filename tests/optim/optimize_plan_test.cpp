#include "optim/optimize_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"

namespace athanor {
namespace {

const std::vector<ArenaParameter> kParameters{{"conv1.weight", 0, 30},
                                              {"conv2.weight", 32, 16},
                                              {"bn1.weight", 48, 3},
                                              {"conv1.bias", 64, 1},
                                              {"fc.weight", 80, 40}};

OptimizerSpec decaying(const char* name) {
  return make_optimizer(name, {{"weight_decay", 0.5}});
}

TEST(Patterns, DistanceIsZeroExactlyForAMatch) {
  EXPECT_EQ(pattern_distance("*.bn*", "stage1.bn2.weight"), 0);
  EXPECT_EQ(pattern_distance("*", ""), 0);
  EXPECT_EQ(pattern_distance("conv?.bias", "conv1.bias"), 0);
  EXPECT_EQ(pattern_distance("*.bias", "conv1.bias"), 0);
  EXPECT_EQ(pattern_distance("a*b*c", "a.b.b.c"), 0);
  EXPECT_NE(pattern_distance("conv?.bias", "conv.bias"), 0);
  EXPECT_NE(pattern_distance("*.bias", "conv1.bias2"), 0);
  EXPECT_NE(pattern_distance("bias", "conv1.bias"), 0);
  EXPECT_EQ(pattern_distance("*.bais", "fc.bias"), 2);
}

TEST(Groups, FirstMatchingGroupWins) {
  const OptimizerSpec spec = decaying("sgd");
  const std::vector<ParameterGroup> groups{{.match = {"bn*"}, .weight_decay = 0.0, .lr_scale = {}},
                                           {.match = {"*.weight"}, .weight_decay = {}, .lr_scale = 2.0}};
  EXPECT_EQ(settings_for("bn1.weight", spec, groups), (ParameterSettings{0.0, 1.0}));
  EXPECT_EQ(settings_for("fc.weight", spec, groups), (ParameterSettings{0.5, 2.0}));
  EXPECT_EQ(settings_for("fc.bias", spec, groups), (ParameterSettings{0.5, 1.0}));
}

TEST(Groups, PatternWithoutAMatchNamesTheNearestParameter) {
  const std::vector<ParameterGroup> groups{{.match = {"*.weight", "conv1.bais"}, .weight_decay = 0.0, .lr_scale = {}}};
  EXPECT_THAT([&] { plan_optimize_steps(decaying("sgd"), groups, kParameters, {}); },
              testing::ThrowsMessage<UsageError>(testing::AllOf(
                  testing::HasSubstr("optimizer.groups[0].match: 'conv1.bais'"), testing::HasSubstr("'conv1.bias'"))));
  EXPECT_THROW(
      plan_optimize_steps(decaying("sgd"), {{.match = {}, .weight_decay = 0.0, .lr_scale = {}}}, kParameters, {}),
      UsageError);
  EXPECT_THROW(
      plan_optimize_steps(decaying("sgd"), {{.match = {"*"}, .weight_decay = -1.0, .lr_scale = {}}}, kParameters, {}),
      UsageError);
}

TEST(OptimizePlan, MergesNeighboursWithEqualSettings) {
  const std::vector<ParameterGroup> groups{{.match = {"bn*", "*.bias"}, .weight_decay = 0.0, .lr_scale = {}}};
  const auto steps = plan_optimize_steps(decaying("sgd"), groups, kParameters, {{0, 128}});
  ASSERT_EQ(steps.size(), 1u);
  const std::vector<OptimizeSegment> wanted{{{0, 48}, 1, 0.5f, 0}, {{48, 80}, 1, 0, 0}, {{80, 128}, 1, 0.5f, 0}};
  EXPECT_EQ(steps[0].segments, wanted);
}

TEST(OptimizePlan, DecoupledDecayShrinksInsteadOfAddingToTheGradient) {
  const auto steps = plan_optimize_steps(decaying("adamw"), {}, kParameters, {{0, 128}});
  EXPECT_EQ(steps[0].segments, (std::vector<OptimizeSegment>{{{0, 128}, 1, 0, 0.5f}}));
}

TEST(OptimizePlan, BucketsCutSegmentsAnywhere) {
  const std::vector<ParameterGroup> groups{{.match = {"fc.*"}, .weight_decay = {}, .lr_scale = 3.0}};
  const std::vector<ArenaRange> buckets{{100, 128}, {7, 100}, {0, 7}};
  std::vector<ArenaParameter> shuffled{kParameters.rbegin(), kParameters.rend()};
  const auto steps = plan_optimize_steps(decaying("sgd"), groups, shuffled, buckets);
  ASSERT_EQ(steps.size(), 3u);
  EXPECT_EQ(steps[0].segments, (std::vector<OptimizeSegment>{{{100, 128}, 3, 0.5f, 0}}));
  EXPECT_EQ(steps[1].segments, (std::vector<OptimizeSegment>{{{7, 80}, 1, 0.5f, 0}, {{80, 100}, 3, 0.5f, 0}}));
  EXPECT_EQ(steps[2].segments, (std::vector<OptimizeSegment>{{{0, 7}, 1, 0.5f, 0}}));
  EXPECT_EQ(steps[1].bucket, buckets[1]);
}

TEST(OptimizePlan, LeavesHolesBetweenParametersAlone) {
  const std::vector<ArenaParameter> holes{{"a", 0, 16}, {"b", 32, 16}};
  const auto steps = plan_optimize_steps(decaying("sgd"), {}, holes, {{0, 64}});
  EXPECT_EQ(steps[0].segments, (std::vector<OptimizeSegment>{{{0, 16}, 1, 0.5f, 0}, {{32, 48}, 1, 0.5f, 0}}));
}

}  // namespace
}  // namespace athanor
