// The gradients of convolutions begin those of the batch norms before them.
#include "graph/passes/norm_gradient_in_convolutions.h"

#include <gtest/gtest.h>

#include "graph/samples.h"

namespace athanor::graph_test {
namespace {

// Positions in the inputs of conv2d_backward_data and batch_norm_backward.
constexpr std::size_t kAddend = 2, kNorm = 3, kOutput = 8, kDy2 = 7, kSums = 9;

std::vector<const Node*> of_op(const Graph& graph, const char* op) {
  std::vector<const Node*> found;
  for (const Node& node : graph.nodes) {
    if (node.op->name == op) found.push_back(&node);
  }
  return found;
}

Graph begun(const Graph& graph) {
  return begin_norm_gradients_in_convolutions(graph, [](const Graph&, const Node&) { return true; });
}

// Nineteen norms: nine between two convolutions, nine before a block, whose gradient has two parts, and the last, which
// the pool reads.
TEST(NormGradientInConvolutions, EveryNormButTheLastTakesSums) {
  const Graph given = training_graph(cifar_resnet(20), cifar(4)), graph = begun(given);
  EXPECT_TRUE(is_ordered(graph));
  EXPECT_EQ(graph.nodes.size(), given.nodes.size());
  int begun_norms = 0, with_addend = 0;
  for (const Node* norm : of_op(graph, "batch_norm_backward")) {
    if (norm->inputs.size() <= kSums) continue;
    const Node& maker = graph.node(graph.value(norm->inputs[0]).producer);
    EXPECT_EQ(maker.op->name, "conv2d_backward_data");
    EXPECT_TRUE(maker.attributes.flag("statistics"));
    EXPECT_TRUE(maker.attributes.flag("input_relu"));
    EXPECT_EQ(maker.inputs[kNorm], norm->inputs[1]);
    EXPECT_EQ(maker.outputs[1], norm->inputs[kSums]);
    EXPECT_EQ(maker.outputs[2], norm->inputs[kSums + 1]);
    EXPECT_EQ(norm->inputs[kDy2], kNoValue);
    EXPECT_EQ(norm->attributes.text("activation"), "none");
    EXPECT_EQ(norm->outputs.size(), 3u);
    with_addend += maker.inputs[kAddend] != kNoValue;
    ++begun_norms;
  }
  EXPECT_EQ(begun_norms, 18);
  EXPECT_EQ(with_addend, 9);
}

// What a norm's output is masked by comes from the same place as before: its input, or what it wrote with a residual.
TEST(NormGradientInConvolutions, TheMaskOfANormWithAResidualIsItsOutput) {
  const Graph graph = begun(training_graph(cifar_resnet(20), cifar(4)));
  int by_output = 0;
  for (const Node* maker : of_op(graph, "conv2d_backward_data")) {
    if (!maker->attributes.flag("statistics") || maker->inputs[kOutput] == kNoValue) continue;
    EXPECT_EQ(graph.node(graph.value(maker->inputs[kOutput]).producer).op->name, "batch_norm");
    EXPECT_NE(maker->inputs[kAddend], kNoValue);
    ++by_output;
  }
  EXPECT_EQ(by_output, 8);  // the norm behind the first convolution has no residual
}

TEST(NormGradientInConvolutions, AGradientThatTheCallerReadsStaysWhole) {
  Graph given = training_graph(cifar_resnet(20), cifar(4));
  for (const Node* node : of_op(given, "conv2d_backward_data")) given.outputs.push_back(node->outputs[0]);
  for (const Node* node : of_op(begun(given), "conv2d_backward_data"))
    EXPECT_FALSE(node->attributes.flag("statistics"));
}

TEST(NormGradientInConvolutions, AGradientStandsBehindWhatItAdds) {
  Graph given = training_graph(cifar_resnet(20), cifar(4));
  for (Node& norm : given.nodes) {  // the earlier gradient first, then the later one, as fusion may leave them
    if (norm.op->name != "batch_norm_backward" || norm.inputs.size() <= kDy2 || norm.inputs[kDy2] == kNoValue) continue;
    const bool is_last_first = given.value(norm.inputs[0]).producer > given.value(norm.inputs[kDy2]).producer;
    if (is_last_first) std::swap(norm.inputs[0], norm.inputs[kDy2]);
  }
  const Graph graph = begun(given);
  EXPECT_TRUE(is_ordered(graph));
  for (const Node* maker : of_op(graph, "conv2d_backward_data")) {
    if (!maker->attributes.flag("statistics") || maker->inputs[kAddend] == kNoValue) continue;
    EXPECT_LT(graph.value(maker->inputs[kAddend]).producer, graph.value(maker->outputs[0]).producer);
  }
}

TEST(NormGradientInConvolutions, NothingChangesWhereNoConvolutionCan) {
  const Graph given = training_graph(cifar_resnet(20), cifar(4));
  const Graph graph = begin_norm_gradients_in_convolutions(given, [](const Graph&, const Node&) { return false; });
  EXPECT_EQ(graph.values.size(), given.values.size());
}

}  // namespace
}  // namespace athanor::graph_test
