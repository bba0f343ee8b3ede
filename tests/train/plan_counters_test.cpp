// Counters of plans that are put together by hand, and what is true of those of any recipe.
#include "train/plan_counters.h"

#include <gtest/gtest.h>

#include <map>

#include "graph/op.h"
#include "train/tiny_session.h"

namespace athanor {
namespace {

using Counts = std::map<std::string, std::int64_t>;

Counts by_name(const std::vector<Counter>& counters) {
  Counts counts;
  for (const Counter& counter : counters) {
    EXPECT_TRUE(counts.emplace(counter.name, counter.count).second) << counter.name << " stands twice";
  }
  return counts;
}

/// A graph whose values have these bytes, and the steps that its nodes get.
class HandMadePlan {
 public:
  ValueId value(std::size_t bytes) {
    plan.graph.values.push_back({.shape = Shape({1})});
    plan.buffers.push_back({.arena = Arena::lane, .bytes = bytes});
    return static_cast<ValueId>(plan.graph.values.size() - 1);
  }
  PlannedStep step(std::string_view op, std::vector<ValueId> inputs, std::vector<ValueId> outputs, Phase phase,
                   const std::string& implementation, std::size_t scratch_bytes = 0) {
    plan.graph.nodes.push_back({.op = &op_named(op),
                                .attributes = {},
                                .inputs = std::move(inputs),
                                .outputs = std::move(outputs),
                                .layer = "",
                                .place = {},
                                .phase = phase});
    return {.node = static_cast<NodeId>(plan.graph.nodes.size() - 1),
            .implementation = implementation,
            .scratch_bytes = scratch_bytes};
  }

  Plan plan;
};

Counts count_training(const Plan& training) {
  Plans plans;
  plans.training = training;
  Recipe recipe;
  recipe.train.batch = training.shards;
  Sizing sizing;
  sizing.shards = training.shards;
  sizing.evaluation_rows = training.shards;
  return by_name(count_plans(recipe, sizing, plans));
}

TEST(PlanCounters, WhatRunsForEachShardCountsForEachAndThePrologueOnce) {
  HandMadePlan hand;
  const ValueId weights = hand.value(10), blocked = hand.value(12), x = hand.value(100), y = hand.value(200);
  hand.plan.shards = 3;
  hand.plan.prologue = {hand.step("reorder", {weights}, {blocked}, Phase::forward, "a")};
  hand.plan.shard = {hand.step("add", {x, y}, {y}, Phase::forward, "b", 7),
                     hand.step("add", {y, y}, {x}, Phase::backward, "b")};
  hand.plan.graph.gradients = {{weights, x}};
  const Counts counts = count_training(hand.plan);
  EXPECT_EQ(counts.at("steps/prologue"), 1);
  EXPECT_EQ(counts.at("steps/forward"), 1);
  EXPECT_EQ(counts.at("steps/backward"), 1);
  EXPECT_EQ(counts.at("reorders/prologue"), 1);
  EXPECT_EQ(counts.at("reorders/forward"), 0);
  EXPECT_EQ(counts.at("bytes/reorder"), 22);
  // What is read twice is read once; what is written in place is read and written.
  EXPECT_EQ(counts.at("bytes/add"), 3 * (100 + 200 + 200 + 200 + 100));
  EXPECT_EQ(counts.at("bytes"), counts.at("bytes/reorder") + counts.at("bytes/add"));
  EXPECT_EQ(counts.at("scratch_bytes"), 3 * 7);
  EXPECT_EQ(counts.at("run/add/b"), 2);
  EXPECT_EQ(counts.at("run/reorder/a"), 1);
}

TEST(PlanCounters, ViewsAndAbsentInputsMoveNothing) {
  HandMadePlan hand;
  const ValueId x = hand.value(100), flat = hand.value(100);
  hand.plan.shard = {hand.step("flatten", {x}, {flat}, Phase::forward, ""),
                     hand.step("cast", {x, kNoValue}, {flat}, Phase::forward, "c")};
  const Counts counts = count_training(hand.plan);
  EXPECT_EQ(counts.at("steps/forward"), 1);
  EXPECT_EQ(counts.at("casts/forward"), 1);
  EXPECT_EQ(counts.at("bytes"), 200);
}

TEST(PlanCounters, OfARecipeAddUp) {
  const testing::TinySession session;
  const Counts counts = by_name(count_plans(session.recipe, session.sizing, session.plans));
  for (const std::string prefix : {"", "evaluation/"}) {
    std::int64_t bytes = 0, steps = 0, sections = 0;
    for (const auto& [name, count] : counts) {
      if (name.starts_with(prefix + "bytes/")) bytes += count;
      if (name.starts_with(prefix + "run/")) steps += count;
      if (name.starts_with(prefix + "steps/")) sections += count;
    }
    EXPECT_EQ(counts.at(prefix + "bytes"), bytes);
    EXPECT_EQ(steps, sections);
    EXPECT_GT(bytes, 0);
  }
  EXPECT_EQ(counts.at("arena_bytes/lane"), static_cast<std::int64_t>(session.plans.training.lane_bytes));
}

}  // namespace
}  // namespace athanor
