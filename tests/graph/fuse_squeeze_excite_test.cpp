// What stands round the scale of squeeze-and-excitation goes into it.
#include "graph/passes/fuse_squeeze_excite.h"

#include <gtest/gtest.h>

#include "graph/samples.h"

namespace athanor::graph_test {
namespace {

ModelSpec with_squeeze_excite() {
  ModelSpec model = cifar_resnet(20);
  model.name = "se_cifar_resnet";
  return model;
}

// Nine blocks, each ends with scale, add and ReLU. The gradients of all but the last block's output are a sum of two.
TEST(FuseSqueezeExcite, LeavesNoPassOfItsOwnForSumAndRelu) {
  const Graph graph = fuse_squeeze_excite(training_graph(with_squeeze_excite(), cifar(4)));
  EXPECT_TRUE(is_ordered(graph));
  for (const char* op : {"relu", "add", "scale_backward"}) EXPECT_EQ(count(graph, op), 0) << op;
  EXPECT_EQ(count(graph, "relu_backward"), 9) << "those of the first linear layers are left";
  EXPECT_EQ(count(graph, "global_avg_pool_backward"), 1) << "the network's own";
  EXPECT_EQ(count(graph, "scale"), 18);
  EXPECT_EQ(count(graph, "scale_sums"), 9);
  const auto sums = std::count_if(graph.nodes.begin(), graph.nodes.end(), [](const Node& node) {
    return node.op->name == "scale_sums" && node.inputs.size() == 4;
  });
  EXPECT_EQ(sums, 8);
}

TEST(FuseSqueezeExcite, WorksOnEvaluationGraphs) {
  const Graph graph = fuse_squeeze_excite(evaluation_graph(with_squeeze_excite(), cifar(4)));
  EXPECT_TRUE(is_ordered(graph));
  for (const char* op : {"relu", "add"}) EXPECT_EQ(count(graph, op), 0) << op;
}

TEST(FuseSqueezeExcite, AScaleThatSomeoneElseReadsStays) {
  Sketch sketch({2, 4, 8, 8});
  const ValueId s = sketch.layer(sketch.layer(sketch.x, "global_avg_pool"), "sigmoid");
  const ValueId scaled = sketch.builder.add1("scale", {sketch.x, s});
  const ValueId y = sketch.layer(sketch.builder.add1("add", {scaled, sketch.x}), "relu");
  sketch.graph.outputs = {y, scaled};
  EXPECT_EQ(count(fuse_squeeze_excite(sketch.graph), "add"), 1);
}

}  // namespace
}  // namespace athanor::graph_test
