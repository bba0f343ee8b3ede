#include "graph/passes/dead_code.h"

#include <gtest/gtest.h>

#include "graph/samples.h"

namespace athanor::graph_test {
namespace {

TEST(DeadCode, DropsWhatNobodyReadsAndWhatOnlyThatRead) {
  Sketch sketch({2, 4, 8, 8});
  const ValueId used = sketch.conv(sketch.x, 4, "used");
  const ValueId unused = sketch.conv(used, 4, "unused");
  sketch.layer(unused, "tanh");
  sketch.finish(used);
  const std::size_t before = sketch.graph.nodes.size();
  const Graph graph = remove_dead_code(sketch.graph);
  EXPECT_EQ(graph.nodes.size(), before - 2);
  EXPECT_EQ(count(graph, "tanh"), 0);
  EXPECT_EQ(count(graph, "conv2d"), 1);
}

TEST(DeadCode, KeepsEveryKindOfRoot) {
  Sketch sketch({2, 4, 8, 8});
  sketch.finish(sketch.layer(sketch.conv(sketch.x, 4, "a"), "batch_norm"));
  Graph& graph = sketch.graph;
  const ValueId output = sketch.layer(sketch.x, "tanh"), metric = sketch.layer(sketch.x, "sigmoid");
  graph.outputs = {output};
  graph.metrics = {{"metric", metric}};
  graph.loss = kNoValue;
  const Graph kept = remove_dead_code(graph);
  EXPECT_EQ(count(kept, "tanh"), 1);
  EXPECT_EQ(count(kept, "sigmoid"), 1);
  EXPECT_EQ(count(kept, "batch_norm"), 1) << "running statistics are roots";
  EXPECT_EQ(count(kept, "linear"), 0);
}

TEST(DeadCode, ValuesKeepTheirNumbersAndProducersAreRight) {
  Sketch sketch({2, 4, 8, 8});
  sketch.layer(sketch.x, "tanh");
  sketch.finish(sketch.conv(sketch.x, 4, "a"));
  const Graph graph = remove_dead_code(sketch.graph);
  ASSERT_EQ(graph.values.size(), sketch.graph.values.size());
  EXPECT_EQ(graph.loss, sketch.graph.loss);
  for (NodeId id = 0; id < static_cast<NodeId>(graph.nodes.size()); ++id) {
    for (const ValueId output : graph.node(id).outputs) EXPECT_EQ(graph.value(output).producer, id);
  }
}

TEST(DeadCode, ASecondRunFindsNothing) {
  const Graph graph = training_graph(cifar_resnet(8), cifar(2));
  EXPECT_EQ(remove_dead_code(graph).nodes.size(), graph.nodes.size());
}

}  // namespace
}  // namespace athanor::graph_test
