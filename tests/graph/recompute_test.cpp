// Activations made again in backward: forward stays as it is, copies stand before their readers, and the plan needs
// less memory for the work that it may add.
#include "graph/passes/recompute.h"

#include <gtest/gtest.h>

#include <set>

#include "backend/cpu/planner.h"
#include "graph/passes/dead_code.h"
#include "graph/passes/fusion.h"
#include "graph/passes/gradient.h"
#include "graph/passes/rematerialize.h"
#include "graph/plan.h"
#include "graph/samples.h"

namespace athanor::graph_test {
namespace {

LaidOutGraph laid_out_resnet(std::int64_t depth, std::int64_t batch) {
  cpu::CpuPlanner planner(1);
  return propagate_layouts(training_graph(cifar_resnet(depth), cifar(batch)), planner);
}

LaidOutGraph laid_out(Sketch& sketch) {
  cpu::CpuPlanner planner(1);
  return propagate_layouts(fuse(remove_dead_code(differentiate(std::move(sketch.graph)))), planner);
}

/// The first outputs of everything in forward, but what a root needs.
std::vector<bool> all_of_forward(const Graph& graph) {
  std::vector<bool> dropped(graph.values.size(), false);
  for (NodeId id = 0; id < first_of_backward(graph); ++id) {
    if (graph.node(id).op->synchronizes) continue;
    dropped[static_cast<std::size_t>(graph.node(id).outputs[0])] = true;
  }
  for (const ValueId root : graph.roots()) dropped[static_cast<std::size_t>(root)] = false;
  return dropped;
}

LaidOutGraph with_all_again(const LaidOutGraph& given) {
  cpu::CpuPlanner planner(1);
  return rematerialize(given, all_of_forward(given.graph), planner);
}

std::int64_t count_copies(const Graph& graph, std::string_view op) {
  return std::count_if(graph.nodes.begin(), graph.nodes.end(),
                       [&](const Node& node) { return node.op->name == op && graph.is_copy(node); });
}

Plan plan_with(std::int64_t depth, std::int64_t batch, double recomputed_work) {
  cpu::CpuPlanner planner(1);
  return make_plan(training_graph(cifar_resnet(depth), cifar(batch)), planner, 1, 1, nullptr, recomputed_work);
}

double work_of_copies(const Plan& plan) {
  cpu::CpuPlanner planner(1);
  LaidOutGraph given{plan.graph, {}, {}};
  for (const Buffer& buffer : plan.buffers) given.layouts.push_back(buffer.layout);
  double copies = 0, others = 0;
  for (const Node& node : plan.graph.nodes) {
    (plan.graph.is_copy(node) ? copies : others) += work_of(given, node, planner);
  }
  return copies / others;
}

TEST(Rematerialize, LeavesForwardAndWhatTheShardHandsOverAsTheyAre) {
  const LaidOutGraph given = laid_out_resnet(20, 4);
  const LaidOutGraph again = with_all_again(given);
  const NodeId backward = first_of_backward(given.graph);
  ASSERT_TRUE(is_ordered(again.graph));
  for (NodeId id = 0; id < backward; ++id) {
    EXPECT_EQ(again.graph.node(id).op, given.graph.node(id).op);
    EXPECT_EQ(again.graph.node(id).inputs, given.graph.node(id).inputs);
    EXPECT_EQ(again.graph.node(id).outputs, given.graph.node(id).outputs);
  }
  EXPECT_EQ(again.graph.roots(), given.graph.roots());
  const std::vector<ValueId> roots = again.graph.roots();
  for (const ValueId root : roots) EXPECT_EQ(again.graph.value(root).copy_of, kNoValue);
}

TEST(Rematerialize, BackwardReadsCopiesAloneAndEachIsMadeOnce) {
  const LaidOutGraph given = laid_out_resnet(20, 4);
  const LaidOutGraph again = with_all_again(given);
  const std::vector<bool> dropped = all_of_forward(given.graph);
  std::multiset<ValueId> made;
  for (NodeId id = first_of_backward(given.graph); id < static_cast<NodeId>(again.graph.nodes.size()); ++id) {
    const Node& node = again.graph.node(id);
    for (const ValueId input : node.inputs) {
      if (input == kNoValue || static_cast<std::size_t>(input) >= dropped.size()) continue;
      EXPECT_FALSE(dropped[static_cast<std::size_t>(input)]) << node.layer << " " << node.op->name;
    }
    for (const ValueId output : node.outputs) {
      if (output != kNoValue && again.graph.value(output).copy_of != kNoValue) {
        made.insert(again.graph.value(output).copy_of);
      }
    }
  }
  EXPECT_GT(count_copies(again.graph, "conv2d"), 0);
  for (const ValueId original : made) EXPECT_EQ(made.count(original), 1u) << again.graph.value(original).name;
}

TEST(Rematerialize, ANormIsAppliedAgainWithTheStatisticsThatWereKept) {
  const LaidOutGraph given = laid_out_resnet(8, 4);
  std::vector<bool> dropped(given.graph.values.size(), false);
  for (const Node& node : given.graph.nodes) {
    if (node.op->name == "batch_norm") dropped[static_cast<std::size_t>(node.outputs[0])] = true;
  }
  cpu::CpuPlanner planner(1);
  const LaidOutGraph again = rematerialize(given, dropped, planner);
  EXPECT_EQ(count_copies(again.graph, "batch_norm"), 0);
  EXPECT_GT(count_copies(again.graph, "batch_norm_apply"), 0);
  EXPECT_EQ(count(again.graph, "batch_norm"), count(given.graph, "batch_norm"));
}

TEST(Rematerialize, ShardsDoNotMeetAgain) {
  Sketch sketch({2, 16, 8, 8});
  sketch.builder.shards = 2;
  ValueId y = sketch.conv(sketch.x, 16, "conv");
  y = sketch.layer(y, "batch_norm", {{"synchronized", true}}, "bn");
  sketch.finish(sketch.conv(sketch.layer(y, "relu"), 16, "conv2"));
  const LaidOutGraph given = laid_out(sketch);
  const LaidOutGraph again = with_all_again(given);
  ASSERT_TRUE(is_ordered(again.graph));
  EXPECT_EQ(count_copies(again.graph, "gather_shards"), 0);
  EXPECT_GT(count_copies(again.graph, "batch_norm_apply"), 0);
}

TEST(Recompute, HalvesTheActivationsOfAResNetForATwentiethOfItsWork) {
  const Plan kept = plan_with(20, 8, 0), again = plan_with(20, 8, kRecomputedWork);
  EXPECT_LT(again.lane_bytes, kept.lane_bytes * 6 / 10);
  EXPECT_GT(work_of_copies(again), 0);
  EXPECT_LE(work_of_copies(again), kRecomputedWork);
}

TEST(Recompute, MoreWorkBuysLessMemory) {
  const Plan a_little = plan_with(32, 8, kRecomputedWork), much = plan_with(32, 8, 1. / 3);
  EXPECT_LT(much.lane_bytes, a_little.lane_bytes);
  EXPECT_GT(count_copies(much.graph, "conv2d"), 0);
}

TEST(Recompute, WithoutWorkThePlanIsTheSame) {
  EXPECT_EQ(plan_with(8, 4, 1e-9).lane_bytes, plan_with(8, 4, 0).lane_bytes);
  EXPECT_EQ(work_of_copies(plan_with(8, 4, 1e-9)), 0);
}

TEST(Recompute, TheFingerprintIsThatOfThePlanThatKeepsAll) {
  EXPECT_EQ(plan_with(20, 8, 1. / 3).fingerprint(), plan_with(20, 8, 0).fingerprint());
}

TEST(Recompute, ValuesThatTheShardHandsOverAreWrittenOnce) {
  const Plan plan = plan_with(20, 8, 1. / 3);
  std::set<std::size_t> written;
  for (const PlannedStep& step : plan.shard) {
    for (const ValueId output : plan.graph.node(step.node).outputs) {
      if (output == kNoValue) continue;
      const Buffer& buffer = plan.buffers[static_cast<std::size_t>(output)];
      if (buffer.arena == Arena::outputs) {
        EXPECT_TRUE(written.insert(buffer.offset).second) << plan.graph.value(output).name;
      }
    }
  }
}

}  // namespace
}  // namespace athanor::graph_test
