// Which batch norms of an evaluation graph go into the convolution before them, and which must not.
#include "graph/passes/fold_batch_norm.h"

#include <gtest/gtest.h>

#include "graph/passes/fusion.h"
#include "graph/samples.h"

namespace athanor::graph_test {
namespace {

std::int64_t with_residual(const Graph& graph) {
  return std::count_if(graph.nodes.begin(), graph.nodes.end(),
                       [](const Node& node) { return node.op->name == "conv2d" && node.inputs.size() == 4; });
}

/// A convolution and its norm, for evaluation.
struct Normed {
  Normed() {
    sketch.builder.training = false;
    z = sketch.conv(sketch.x, 4, "a");
    y = sketch.layer(z, "batch_norm");
  }
  Graph folded(ValueId output) {
    sketch.graph.outputs = {output};
    return fold_batch_norms(fuse(sketch.graph));
  }
  Sketch sketch{{2, 4, 8, 8}};
  ValueId z, y;
};

// The stem and nine blocks of two convolutions: the second of each adds its block's input.
TEST(FoldBatchNorm, LeavesConvolutionsAloneInAResidualNetwork) {
  const Graph graph = fold_batch_norms(evaluation_graph(cifar_resnet(20), cifar(4)));
  EXPECT_TRUE(is_ordered(graph));
  for (const char* op : {"batch_norm_inference", "relu", "add"}) EXPECT_EQ(count(graph, op), 0) << op;
  EXPECT_EQ(count(graph, "fold_batch_norm"), 19);
  EXPECT_EQ(with_residual(graph), 9);
  for (const Node& node : graph.nodes) {
    if (node.op->name == "conv2d") {
      EXPECT_EQ(node.attributes.text("activation"), "relu") << node.layer;
    }
  }
}

TEST(FoldBatchNorm, ReadsTheParametersThemselvesWhereProductsAreIn16Bits) {
  GraphOptions options = cifar(4);
  options.compute_dtype = DType::bf16;
  const Graph graph = fold_batch_norms(evaluation_graph(cifar_resnet(8), options));
  EXPECT_TRUE(is_ordered(graph));
  EXPECT_EQ(count(graph, "fold_batch_norm"), 7);
  for (const Node& node : graph.nodes) {
    if (node.op->name != "fold_batch_norm") continue;
    EXPECT_EQ(graph.value(node.inputs[0]).role, Role::parameter);
    EXPECT_EQ(graph.value(node.outputs[0]).dtype, DType::bf16);
    EXPECT_EQ(graph.value(node.outputs[1]).dtype, DType::f32);
  }
  // Of the last layer's weights and its logits.
  EXPECT_EQ(count(graph, "cast"), 2);
}

TEST(FoldBatchNorm, TheConvolutionGivesTheValueThatTheNormGave) {
  Normed normed;
  const Graph graph = normed.folded(normed.y);
  EXPECT_EQ(only(graph, "conv2d").outputs[0], normed.y);
  EXPECT_EQ(only(graph, "conv2d").attributes.text("activation"), "none");
}

TEST(FoldBatchNorm, AConvolutionThatSomeoneElseReadsStays) {
  Normed normed;
  const Graph graph = normed.folded(normed.sketch.builder.add1("add", {normed.y, normed.z}));
  EXPECT_EQ(count(graph, "batch_norm_inference"), 1);
  EXPECT_EQ(count(graph, "fold_batch_norm"), 0);
}

TEST(FoldBatchNorm, AConvolutionWithAnActivationBeforeItsNormStays) {
  Sketch sketch({2, 4, 8, 8});
  sketch.builder.training = false;
  sketch.graph.outputs = {sketch.layer(sketch.layer(sketch.conv(sketch.x, 4, "a"), "relu"), "batch_norm")};
  EXPECT_EQ(count(fold_batch_norms(fuse(sketch.graph)), "batch_norm_inference"), 1);
}

TEST(FoldBatchNorm, LeavesTrainingAlone) {
  const Graph graph = training_graph(cifar_resnet(8), cifar(4));
  EXPECT_EQ(fold_batch_norms(graph).nodes.size(), graph.nodes.size());
}

}  // namespace
}  // namespace athanor::graph_test
