// What a plan says of a convolution or matrix product, algorithm and implementation, is what runs, or nothing does.
#include <gtest/gtest.h>

#include <cmath>

#include "backend/cpu/arena.h"
#include "backend/cpu/convolution.h"
#include "backend/cpu/onednn.h"
#include "backend/cpu/planner.h"
#include "backend/cpu/program.h"
#include "base/random.h"
#include "graph/builder.h"
#include "graph/op.h"
#include "graph/plan.h"

namespace athanor::cpu {
namespace {

const Shape kImages{2, 16, 12, 12}, kWeight{32, 16, 3, 3};

/// A planner that wants one algorithm for every convolution, in the first layout that has it.
class WithAlgorithm : public CpuPlanner {
 public:
  explicit WithAlgorithm(ConvolutionAlgorithm algorithm) : CpuPlanner(1), algorithm_(algorithm) {}

  NodeChoice choose(const Graph& graph, const Node& node, std::span<const Layout> inputs) override {
    NodeChoice choice = CpuPlanner::choose(graph, node, inputs);
    if (node.op->name != "conv2d") return choice;
    const auto made = make(convolution_of(graph, node, 1));
    choice.inputs = {made->x_layout, made->weight_layout};
    choice.outputs = {made->y_layout};
    choice.implementation = made->implementation;
    choice.scratch_bytes = made->scratch.get_size();
    choice.algorithm = name_of(algorithm_);
    return choice;
  }

  std::shared_ptr<const ConvolutionPrimitive> make(Convolution conv) const {
    conv.algorithm = algorithm_;
    const TeamSize team(1);
    for (const Layout& layout : {blocked_layout(), Layout("nhwc"), kPlain}) {
      if (auto made = make_convolution(conv, layout, layout); made != nullptr) return made;
    }
    return nullptr;
  }

 private:
  ConvolutionAlgorithm algorithm_;
};

Graph convolution_graph() {
  Graph graph;
  Builder builder(graph);
  const ValueId x = builder.input("images", kImages, DType::f32), weight = builder.input("weight", kWeight, DType::f32);
  const Scope scope(builder, "conv1");
  const std::vector<std::int64_t> one{1, 1};
  const ValueId y = builder.add1("conv2d", {x, weight},
                                 {{"stride", one},
                                  {"padding", one},
                                  {"dilation", one},
                                  {"groups", std::int64_t{1}},
                                  {"activation", std::string("none")}});
  graph.outputs = {builder.add1("flatten", {y})};
  return graph;
}

Graph linear_graph() {
  Graph graph;
  Builder builder(graph);
  const ValueId x = builder.input("images", {4, 24}, DType::f32), weight = builder.input("weight", {8, 24}, DType::f32);
  const Scope scope(builder, "fc");
  graph.outputs = {builder.add1("linear", {x, weight}, {{"activation", std::string("none")}})};
  return graph;
}

PlannedStep& step_of(Plan& plan, std::string_view op) {
  for (PlannedStep& step : plan.shard) {
    if (plan.graph.node(step.node).op->name == op) return step;
  }
  throw std::logic_error("no such step");
}

std::vector<float> run(const Plan& plan) {
  const ArenaMemory shared(std::max<std::size_t>(plan.shared_bytes, 64)), lane(plan.lane_bytes);
  const Arenas arenas{nullptr, nullptr, shared.data(), lane.data()};
  RandomStream random(7, Purpose::test, 0, 0);
  for (const ValueId input : plan.graph.of_role(Role::input)) {
    auto* values = static_cast<float*>(address_of(plan, arenas, input));
    for (std::int64_t i = 0; i < plan.graph.value(input).shape.elements(); ++i) values[i] = random.uniform(-1.0f, 1.0f);
  }
  const TeamSize team(1);
  for (const auto& part : bind_prologue(plan, arenas, 1, 0)) {
    for (const Step& step : part) step();
  }
  for (const PlannedStep& planned : plan.shard) {
    if (const Step step = bind_node(plan, planned, arenas, 0)) step();
  }
  const ValueId output = plan.graph.outputs[0];
  const auto* values = static_cast<const float*>(address_of(plan, arenas, output));
  return {values, values + plan.graph.value(output).shape.elements()};
}

Plan plan_with(ConvolutionAlgorithm algorithm) {
  WithAlgorithm planner(algorithm);
  return make_plan(convolution_graph(), planner, 1, 1);
}

bool has_algorithm(ConvolutionAlgorithm algorithm) {
  const Graph graph = convolution_graph();
  for (const Node& node : graph.nodes) {
    if (node.op->name == "conv2d") return WithAlgorithm(algorithm).make(convolution_of(graph, node, 1)) != nullptr;
  }
  return false;
}

class PlannedAlgorithm : public ::testing::TestWithParam<ConvolutionAlgorithm> {};

TEST_P(PlannedAlgorithm, RunsAndStandsInTheFingerprint) {
  if (!has_algorithm(GetParam())) GTEST_SKIP() << "oneDNN has no " << name_of(GetParam()) << " on this processor";
  Plan plan = plan_with(GetParam());
  const PlannedStep& step = step_of(plan, "conv2d");
  EXPECT_EQ(step.algorithm, name_of(GetParam()));
  EXPECT_EQ(step.implementation.find("wino") != std::string::npos, GetParam() == ConvolutionAlgorithm::winograd)
      << step.implementation;
  EXPECT_EQ(step.implementation.find("gemm") != std::string::npos, GetParam() == ConvolutionAlgorithm::gemm)
      << step.implementation;

  const std::vector<float> got = run(plan), want = run(plan_with(ConvolutionAlgorithm::direct));
  ASSERT_EQ(got.size(), want.size());
  // Sums of 144 products of size 1; Winograd's F(4×4, 3×3) loses about two more digits than the others.
  for (std::size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i], want[i], 1e-3) << i;

  const std::string fingerprint = plan.fingerprint();
  step_of(plan, "conv2d").algorithm = "other";
  EXPECT_NE(plan.fingerprint(), fingerprint);
}

INSTANTIATE_TEST_SUITE_P(All, PlannedAlgorithm,
                         ::testing::Values(ConvolutionAlgorithm::direct, ConvolutionAlgorithm::gemm,
                                           ConvolutionAlgorithm::winograd),
                         [](const auto& info) { return std::string(name_of(info.param)); });

TEST(ConvolutionAlgorithms, NamesAreReadBack) {
  for (const auto algorithm :
       {ConvolutionAlgorithm::direct, ConvolutionAlgorithm::gemm, ConvolutionAlgorithm::winograd}) {
    EXPECT_EQ(find_algorithm(name_of(algorithm)), algorithm);
  }
  EXPECT_EQ(find_algorithm(""), std::nullopt);
}

TEST(ConvolutionAlgorithms, EveryConvolutionThatThePlannerChoosesHasOne) {
  CpuPlanner planner(1);
  Plan plan = make_plan(convolution_graph(), planner, 1, 1);
  EXPECT_EQ(step_of(plan, "conv2d").algorithm, "direct");
  Plan linear = make_plan(linear_graph(), planner, 1, 1);
  EXPECT_EQ(step_of(linear, "linear").algorithm, "");
}

class PlannedPrimitiveDeathTest : public ::testing::Test {
 protected:
  PlannedPrimitiveDeathTest() { GTEST_FLAG_SET(death_test_style, "threadsafe"); }

  CpuPlanner planner_{1};
  Plan convolution_ = make_plan(convolution_graph(), planner_, 1, 1);
  Plan linear_ = make_plan(linear_graph(), planner_, 1, 1);
};

TEST_F(PlannedPrimitiveDeathTest, AnotherImplementationOfAConvolutionIsNotRun) {
  PlannedStep& step = step_of(convolution_, "conv2d");
  const std::string made = step.implementation;
  step.implementation = "onednn:other";
  EXPECT_DEATH(bind_node(convolution_, step, {}, 0),
               "layer conv1: the implementation of conv2d is planned as onednn:other, but " + made + " was made");
}

TEST_F(PlannedPrimitiveDeathTest, AnUnknownAlgorithmIsNotReplaced) {
  PlannedStep& step = step_of(convolution_, "conv2d");
  step.algorithm = "fourier";
  EXPECT_DEATH(bind_node(convolution_, step, {}, 0), "layer conv1: there is no convolution algorithm 'fourier'");
}

TEST_F(PlannedPrimitiveDeathTest, WeightsInAnotherLayoutAreNotRead) {
  PlannedStep& step = step_of(convolution_, "conv2d");
  const ValueId weight = convolution_.graph.node(step.node).inputs[1];
  convolution_.buffers[static_cast<std::size_t>(weight)].layout = "other";
  EXPECT_DEATH(bind_node(convolution_, step, {}, 0), "layer conv1: the weight layout of conv2d is planned as other");
}

TEST_F(PlannedPrimitiveDeathTest, AnotherImplementationOfALinearLayerIsNotRun) {
  PlannedStep& step = step_of(linear_, "linear");
  step.implementation = "onednn:other";
  EXPECT_DEATH(bind_node(linear_, step, {}, 0),
               "layer fc: the implementation of linear is planned as onednn:other, but ");
}

}  // namespace
}  // namespace athanor::cpu
