// The gradient pass as a pass over graphs; the numbers are tested against the reference and PyTorch elsewhere.
#include "graph/passes/gradient.h"

#include <gmock/gmock.h>

#include "graph/samples.h"

namespace athanor::graph_test {
namespace {

using ::testing::ElementsAre;

std::vector<std::string> gradient_order(const Graph& graph) {
  std::vector<std::string> names;
  for (const ParameterGradient& pair : graph.gradients) names.push_back(graph.value(pair.parameter).name);
  return names;
}

TEST(Gradient, EveryParameterGetsOneOfItsOwnShape) {
  const Graph graph = training_graph(cifar_resnet(20), cifar(4));
  ASSERT_EQ(graph.gradients.size(), graph.of_role(Role::parameter).size());
  ASSERT_EQ(graph.gradients.size(), 19u * 3 + 2);
  std::vector<ValueId> seen;
  for (const ParameterGradient& pair : graph.gradients) {
    EXPECT_EQ(graph.value(pair.gradient).shape, graph.value(pair.parameter).shape) << graph.value(pair.parameter).name;
    seen.push_back(pair.parameter);
  }
  std::sort(seen.begin(), seen.end());
  EXPECT_EQ(std::unique(seen.begin(), seen.end()), seen.end());
}

TEST(Gradient, TheyStandInTheOrderInWhichBackwardFinishesThem) {
  Sketch sketch({2, 1, 8, 8});
  ValueId y = sketch.conv(sketch.x, 4, "a");
  y = sketch.layer(y, "batch_norm", {}, "norm");
  sketch.finish(sketch.conv(y, 4, "b"));
  const Graph graph = differentiate(sketch.graph);
  EXPECT_THAT(gradient_order(graph),
              ElementsAre("fc.weight", "fc.bias", "b.weight", "norm.weight", "norm.bias", "a.weight"));
  NodeId before = -1;
  for (const ParameterGradient& pair : graph.gradients) {
    EXPECT_GE(graph.value(pair.gradient).producer, before);
    before = graph.value(pair.gradient).producer;
  }
}

TEST(Gradient, NobodyComputesTheGradientOfTheImages) {
  const Graph graph = training_graph(cifar_resnet(20), cifar(4));
  EXPECT_EQ(count(graph, "conv2d_backward_weights"), 19);
  EXPECT_EQ(count(graph, "conv2d_backward_data"), 18);
}

TEST(Gradient, AValueReadTwiceSumsTheGradientsOfItsReaders) {
  Sketch sketch({2, 4, 8, 8});
  const ValueId stem = sketch.conv(sketch.x, 4, "stem");
  const ValueId left = sketch.conv(stem, 4, "left"), right = sketch.conv(stem, 4, "right");
  sketch.finish(sketch.builder.add1("add", {left, right}));
  const Graph graph = differentiate(sketch.graph);
  EXPECT_EQ(count(graph, "add"), 2);
  const Node& last = graph.nodes.back();
  ASSERT_EQ(last.op->name, "conv2d_backward_weights");
  EXPECT_EQ(last.layer, "stem");
  EXPECT_EQ(graph.node(graph.value(last.inputs[1]).producer).op->name, "add");
}

TEST(Gradient, ASharedParameterGetsOneSummedGradient) {
  Sketch sketch({2, 3});
  const ValueId weight = sketch.builder.parameter("weight", {3, 3}, {});
  ValueId y = sketch.x;
  for (int i = 0; i < 2; ++i) {
    y = sketch.builder.add1("linear", {y, weight, kNoValue}, {{"activation", std::string("none")}});
  }
  sketch.graph.loss = sketch.builder.add1("cross_entropy", {y, sketch.labels, kNoValue}, {{"label_smoothing", 0.0}});
  const Graph graph = differentiate(sketch.graph);
  ASSERT_EQ(graph.gradients.size(), 1u);
  EXPECT_EQ(graph.node(graph.value(graph.gradients[0].gradient).producer).op->name, "add");
}

TEST(Gradient, ParametersThatTheLossDoesNotReadHaveNone) {
  Sketch sketch({2, 1, 8, 8});
  sketch.conv(sketch.x, 4, "unused");
  sketch.finish(sketch.conv(sketch.x, 4, "used"));
  EXPECT_THAT(gradient_order(differentiate(sketch.graph)), ElementsAre("fc.weight", "fc.bias", "used.weight"));
}

TEST(Gradient, BackwardNodesCarryTheLayerOfTheirForwardNode) {
  const Graph graph = training_graph(cifar_resnet(8), cifar(2));
  EXPECT_TRUE(is_ordered(graph));
  for (const Node& node : graph.nodes) {
    if (node.op->name != "conv2d_backward_weights") continue;
    EXPECT_EQ(node.phase, Phase::backward);
    EXPECT_NE(graph.find(node.layer + ".weight"), kNoValue) << node.layer;
  }
}

}  // namespace
}  // namespace athanor::graph_test
