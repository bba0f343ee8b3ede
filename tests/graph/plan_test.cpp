// Plans of real networks with the CPU's planner: where values lie, which layouts meet, how long planning takes.
#include "graph/plan.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <ctime>
#include <map>
#include <set>

#include "backend/cpu/planner.h"
#include "graph/samples.h"

namespace athanor::graph_test {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kIsSanitized = true;
#else
constexpr bool kIsSanitized = false;
#endif

Plan training_plan(std::int64_t depth, std::int64_t batch, int shards = 4) {
  cpu::CpuPlanner planner(1);
  return make_plan(training_graph(cifar_resnet(depth), cifar(batch)), planner, shards, 1);
}

const Buffer& buffer_of(const Plan& plan, ValueId id) {
  return plan.buffers[static_cast<std::size_t>(id)];
}

/// First and last step of the shard section at which a value of the lane is written or read.
std::map<ValueId, std::pair<int, int>> lane_lifetimes(const Plan& plan) {
  std::map<ValueId, std::pair<int, int>> lives;
  const auto touch = [&](ValueId id, int at) {
    if (id == kNoValue || buffer_of(plan, id).arena != Arena::lane) return;
    const auto [found, is_new] = lives.try_emplace(id, at, at);
    found->second.second = at;
  };
  for (const ValueId input : plan.graph.of_role(Role::input)) touch(input, 0);
  for (int at = 0; at < static_cast<int>(plan.shard.size()); ++at) {
    const Node& node = plan.graph.node(plan.shard[static_cast<std::size_t>(at)].node);
    for (const ValueId id : node.inputs) touch(id, at);
    for (const ValueId id : node.outputs) touch(id, at);
  }
  return lives;
}

bool overlap(std::size_t a, std::size_t a_bytes, std::size_t b, std::size_t b_bytes) {
  return a < b + b_bytes && b < a + a_bytes;
}

TEST(Plan, ValuesShareBytesOnlyWhenOneIsDoneOrTheOpWorksInPlace) {
  const Plan plan = training_plan(20, 8);
  const auto lives = lane_lifetimes(plan);
  for (auto a = lives.begin(); a != lives.end(); ++a) {
    const Buffer& left = buffer_of(plan, a->first);
    ASSERT_LE(left.offset + left.bytes, plan.lane_bytes);
    for (auto b = lives.begin(); b != a; ++b) {
      const Buffer& right = buffer_of(plan, b->first);
      if (!overlap(left.offset, left.bytes, right.offset, right.bytes)) continue;
      if (left.offset == right.offset && left.bytes == right.bytes) {
        // In place or a view: the older one may still be read by the step that writes the younger one.
        const auto& older = a->second.first <= b->second.first ? a->second : b->second;
        const auto& younger = a->second.first <= b->second.first ? b->second : a->second;
        const NodeId node = plan.shard[static_cast<std::size_t>(younger.first)].node;
        const OpDef& op = *plan.graph.node(node).op;
        if (op.is_view || (!op.in_place.empty() && older.second <= younger.first)) continue;
      }
      ASSERT_TRUE(a->second.second < b->second.first || b->second.second < a->second.first)
          << plan.graph.value(a->first).name << " and " << plan.graph.value(b->first).name;
    }
  }
}

TEST(Plan, ScratchNeverLiesOnWhatItsStepUses) {
  const Plan plan = training_plan(20, 8);
  for (const PlannedStep& step : plan.shard) {
    if (step.scratch_bytes == 0) continue;
    const Node& node = plan.graph.node(step.node);
    for (const auto* ids : {&node.inputs, &node.outputs}) {
      for (const ValueId id : *ids) {
        if (id == kNoValue || buffer_of(plan, id).arena != Arena::lane) continue;
        EXPECT_FALSE(
            overlap(step.scratch_offset, step.scratch_bytes, buffer_of(plan, id).offset, buffer_of(plan, id).bytes))
            << node.layer << " " << node.op->name;
      }
    }
  }
}

TEST(Plan, StateHoldsEveryParameterAndStatisticOnceWithGradientsAtTheSamePlaces) {
  const Plan plan = training_plan(20, 4);
  std::size_t end = 0;
  std::set<std::string> names;
  for (const StateTensor& slot : plan.state) {
    EXPECT_GE(slot.offset, end) << slot.name;
    end = slot.offset + slot.elements;
    EXPECT_TRUE(names.insert(slot.name).second) << slot.name;
  }
  EXPECT_LE(end, plan.state_elements);
  EXPECT_EQ(names.size(), plan.graph.of_role(Role::parameter).size() + plan.graph.of_role(Role::statistic).size());
  for (const ParameterGradient& pair : plan.graph.gradients) {
    const Buffer &parameter = buffer_of(plan, pair.parameter), &gradient = buffer_of(plan, pair.gradient);
    EXPECT_EQ(gradient.arena, Arena::outputs);
    EXPECT_EQ(gradient.offset, parameter.offset);
    EXPECT_EQ(gradient.layout, parameter.layout) << plan.graph.value(pair.parameter).name;
  }
}

TEST(Plan, AnEvaluationPlanSharesTheStateOfTraining) {
  const Plan training = training_plan(20, 4);
  cpu::CpuPlanner planner(1);
  const Plan evaluation = make_plan(evaluation_graph(cifar_resnet(20), cifar(10)), planner, 1, 1, &training);
  std::map<std::string, StateTensor> by_name;
  for (const StateTensor& slot : training.state) by_name[slot.name] = slot;
  EXPECT_EQ(evaluation.state.size(), training.state.size());
  for (const StateTensor& slot : evaluation.state) {
    EXPECT_EQ(slot.offset, by_name.at(slot.name).offset) << slot.name;
    EXPECT_EQ(buffer_of(evaluation, slot.value).layout, buffer_of(training, by_name.at(slot.name).value).layout);
  }
}

TEST(Plan, LayoutsFlow) {
  const Plan plan = training_plan(20, 8);
  std::int64_t on_activations = 0;
  for (const PlannedStep& step : plan.shard) {
    const Node& node = plan.graph.node(step.node);
    if (node.op->name == "reorder" && plan.graph.value(node.inputs[0]).shape.rank() == 4 &&
        plan.graph.value(node.inputs[0]).shape[0] == 8) {
      ++on_activations;
    }
  }
  // 19 convolutions three ways; a reorder between each pair of neighbours would be more than 60.
  EXPECT_LE(on_activations, 4);
}

TEST(Plan, TheFingerprintTellsChoicesApart) {
  EXPECT_EQ(training_plan(8, 4).fingerprint(), training_plan(8, 4).fingerprint());
  EXPECT_NE(training_plan(8, 4).fingerprint(), training_plan(8, 4, 2).fingerprint());
  EXPECT_NE(training_plan(8, 4).fingerprint(), training_plan(8, 5).fingerprint());
  const std::string fingerprint = training_plan(8, 4).fingerprint();
  Plan changed = training_plan(8, 4);
  changed.shard.back().algorithm = "winograd";
  EXPECT_NE(changed.fingerprint(), fingerprint);
  changed = training_plan(8, 4);
  changed.buffers[static_cast<std::size_t>(changed.state.front().value)].layout = "nhwc";
  EXPECT_NE(changed.fingerprint(), fingerprint);
  changed = training_plan(8, 4);
  ++changed.graph.nodes.back().inputs.front();
  EXPECT_NE(changed.fingerprint(), fingerprint);
}

TEST(Plan, ResNet1202IsPlannedQuicklyAndFitsTwoGigabytesAtBatch16) {
  // Processor time: other programs on the machine do not count.
  const std::clock_t start = std::clock();
  const Plan plan = training_plan(1202, 16, 1);
  const double spent_s = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  const double gigabytes = 1e-9 * static_cast<double>(plan.lane_bytes + plan.shared_bytes +
                                                      sizeof(float) * (2 * plan.state_elements + plan.output_elements));
  std::printf("ResNet-1202 at batch 16: %zu steps planned in %.2f s, %.2f GB\n", plan.shard.size(), spent_s, gigabytes);
  RecordProperty("seconds", std::to_string(spent_s));
  EXPECT_LT(spent_s, kIsSanitized ? 60 : 2);
  EXPECT_LT(gigabytes, 2);
}

}  // namespace
}  // namespace athanor::graph_test
