// Which chains of ops become one, and which must not.
#include "graph/passes/fusion.h"

#include <gtest/gtest.h>

#include "graph/passes/dead_code.h"
#include "graph/passes/gradient.h"
#include "graph/samples.h"

namespace athanor::graph_test {
namespace {

Graph fused_training(Sketch& sketch, ValueId y) {
  sketch.finish(y);
  return fuse(remove_dead_code(differentiate(sketch.graph)));
}

// ResNet-20: the stem and nine blocks of two convolutions. Ten norms are followed by ReLU alone, nine by add and ReLU.
TEST(Fusion, LeavesNoReluAndNoAddInAResidualNetwork) {
  const Graph graph = training_graph(cifar_resnet(20), cifar(4));
  EXPECT_TRUE(is_ordered(graph));
  for (const char* op : {"relu", "relu_backward", "add"}) EXPECT_EQ(count(graph, op), 0) << op;
  EXPECT_EQ(count(graph, "batch_norm", "relu", false), 10);
  EXPECT_EQ(count(graph, "batch_norm", "relu", true), 9);
  EXPECT_EQ(count(graph, "batch_norm_backward", "relu", false), 10);
  EXPECT_EQ(count(graph, "batch_norm_backward", "relu", true), 9);
}

// Every value that two branches read (the outputs of the stem and of all blocks but the last) has its gradients summed
// by the norm that made it.
TEST(Fusion, NormsSumTheGradientsOfTwoReaders) {
  const Graph graph = training_graph(cifar_resnet(20), cifar(4));
  const auto sums = std::count_if(graph.nodes.begin(), graph.nodes.end(), [](const Node& node) {
    return node.op->name == "batch_norm_backward" && node.inputs[7] != kNoValue;
  });
  EXPECT_EQ(sums, 9);
}

// Both passes of a synchronised norm's gradient mask and sum; with a residual the second reads what the first wrote.
TEST(Fusion, SynchronizedNormsTakeWhatNormsTake) {
  ModelSpec model = cifar_resnet(20);
  model.attributes.set("synchronized_batch_norm", true);
  GraphOptions options = cifar(4);
  options.shards = 2;
  const Graph graph = training_graph(model, options);
  EXPECT_TRUE(is_ordered(graph));
  for (const char* op : {"relu", "relu_backward", "add", "batch_norm"}) EXPECT_EQ(count(graph, op), 0) << op;
  for (const char* op : {"batch_norm_apply", "batch_norm_sums"}) {
    EXPECT_EQ(count(graph, op, "relu", false), 10) << op;
    EXPECT_EQ(count(graph, op, "relu", true), 9) << op;
  }
  EXPECT_EQ(count(graph, "gather_shards"), 2 * 19);
  for (const Node& node : graph.nodes) {
    if (node.op->name == "batch_norm_input_gradient") {
      const bool reads_the_residuals_gradient = node.attributes.text("activation") == "none";
      const Node& source = graph.node(graph.value(node.inputs[0]).producer);
      const bool is_its_first_pass = source.op->name == "batch_norm_sums" && source.layer == node.layer;
      EXPECT_EQ(reads_the_residuals_gradient, is_its_first_pass) << node.layer;
    }
  }
}

TEST(Fusion, WorksOnEvaluationGraphs) {
  const Graph graph = evaluation_graph(cifar_resnet(20), cifar(4));
  EXPECT_TRUE(is_ordered(graph));
  EXPECT_EQ(count(graph, "relu") + count(graph, "add"), 0);
  EXPECT_EQ(count(graph, "batch_norm_inference", "relu", false), 10);
  EXPECT_EQ(count(graph, "batch_norm_inference", "relu", true), 9);
}

// Projection shortcuts: four blocks of ResNet-50 have two norms whose sum goes into ReLU; one of them takes the other.
TEST(Fusion, OfTwoNormsThatAreAddedOneTakesTheOther) {
  ModelSpec model;
  model.name = "resnet";
  model.attributes = {{"depth", std::int64_t{50}}, {"classes", std::int64_t{10}}};
  GraphOptions options = cifar(2);
  options.height = options.width = 64;
  const Graph graph = training_graph(model, options);
  EXPECT_TRUE(is_ordered(graph));
  EXPECT_EQ(count(graph, "relu") + count(graph, "relu_backward"), 0);
  // The two readers of the max pool: no norm made that value.
  EXPECT_EQ(only(graph, "add").layer, "stage1.block1.downsample.conv");
  EXPECT_EQ(count(graph, "batch_norm", "relu", true), 16);
  EXPECT_EQ(count(graph, "batch_norm", "relu", false), 33);
  EXPECT_EQ(count(graph, "batch_norm", "none", false), 4);
  EXPECT_EQ(count(graph, "batch_norm_backward", "relu", true), 16);
  EXPECT_EQ(count(graph, "batch_norm_backward", "none", false), 4);
}

TEST(Fusion, ConvolutionsAndMatrixProductsTakeTheirRelu) {
  Sketch sketch({2, 4, 8, 8});
  const Graph graph = fused_training(sketch, sketch.layer(sketch.conv(sketch.x, 4, "a"), "relu"));
  EXPECT_EQ(count(graph, "relu"), 0);
  EXPECT_EQ(only(graph, "conv2d").attributes.text("activation"), "relu");
  EXPECT_EQ(count(graph, "relu_backward"), 1) << "the convolution's gradient does not mask";
}

TEST(Fusion, AGradientIsMaskedBeforeMaxPoolingSpreadsIt) {
  Sketch sketch({2, 4, 8, 8});
  const ValueId y = sketch.layer(sketch.conv(sketch.x, 4, "a"), "relu");
  const Graph graph =
      fused_training(sketch, sketch.layer(y, "max_pool", {{"kernel", std::vector<std::int64_t>{2}}}, "p"));
  EXPECT_TRUE(is_ordered(graph));
  const Node& mask = only(graph, "relu_backward");
  EXPECT_EQ(mask.inputs[1], only(graph, "max_pool2d").outputs[0]);
  EXPECT_EQ(graph.value(mask.outputs[0]).shape, (Shape{2, 4, 4, 4}));
  EXPECT_EQ(only(graph, "max_pool2d_backward").inputs[0], mask.outputs[0]);
  EXPECT_EQ(only(graph, "conv2d_backward_weights").inputs[1], only(graph, "max_pool2d_backward").outputs[0]);
}

TEST(Fusion, AGradientOfTwoReadersIsMaskedWhereTheyMeet) {
  Sketch sketch({2, 4, 8, 8});
  const ValueId y = sketch.layer(sketch.conv(sketch.x, 4, "a"), "relu");
  const Attributes window{{"kernel", std::vector<std::int64_t>{3}},
                          {"stride", std::vector<std::int64_t>{1}},
                          {"padding", std::vector<std::int64_t>{1}}};
  const Graph graph = fused_training(sketch, sketch.builder.add1("add", {y, sketch.layer(y, "max_pool", window, "p")}));
  EXPECT_EQ(only(graph, "relu_backward").inputs[1], y);
}

TEST(Fusion, TheFusedNodeGivesTheValueThatReluGave) {
  Sketch sketch({2, 4, 8, 8});
  const ValueId y = sketch.layer(sketch.layer(sketch.conv(sketch.x, 4, "a"), "batch_norm"), "relu");
  const Graph graph = fused_training(sketch, y);
  EXPECT_EQ(only(graph, "batch_norm").outputs[0], y);
  EXPECT_EQ(only(graph, "global_avg_pool").inputs[0], y);
}

TEST(Fusion, AValueThatSomeoneElseReadsStays) {
  Sketch sketch({2, 4, 8, 8});
  const ValueId z = sketch.layer(sketch.conv(sketch.x, 4, "a"), "batch_norm");
  const ValueId y = sketch.layer(z, "relu");
  const Graph graph = fused_training(sketch, sketch.builder.add1("add", {y, sketch.layer(z, "tanh")}));
  EXPECT_EQ(count(graph, "relu"), 1);
  EXPECT_EQ(only(graph, "batch_norm").attributes.text("activation"), "none");
}

TEST(Fusion, AnOutputOfTheGraphStays) {
  Sketch sketch({2, 4, 8, 8});
  const ValueId z = sketch.conv(sketch.x, 4, "a");
  sketch.finish(sketch.layer(z, "relu"));
  sketch.graph.outputs = {z};
  EXPECT_EQ(count(fuse(sketch.graph), "relu"), 1);
}

TEST(Fusion, TwiceTheSameValueIsNoResidual) {
  Sketch sketch({2, 4, 8, 8});
  const ValueId z = sketch.layer(sketch.conv(sketch.x, 4, "a"), "batch_norm");
  const Graph graph = fused_training(sketch, sketch.layer(sketch.builder.add1("add", {z, z}), "relu"));
  EXPECT_EQ(count(graph, "batch_norm", "relu", true), 0);
  EXPECT_TRUE(is_ordered(graph));
}

// Squeeze-and-excitation stands between the norm and the sum, so that sum stays.
TEST(Fusion, SqueezeExciteKeepsItsSum) {
  ModelSpec model = cifar_resnet(8);
  model.name = "se_cifar_resnet";
  const Graph graph = training_graph(model, cifar(2));
  EXPECT_TRUE(is_ordered(graph));
  EXPECT_EQ(count(graph, "batch_norm", "relu", true), 0);
  EXPECT_GE(count(graph, "add"), 3);
}

}  // namespace
}  // namespace athanor::graph_test
