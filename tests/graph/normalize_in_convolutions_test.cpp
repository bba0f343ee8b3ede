// The convolutions behind a batch norm take its scale and shift.
#include "graph/passes/normalize_in_convolutions.h"

#include <gtest/gtest.h>

#include "graph/samples.h"

namespace athanor::graph_test {
namespace {

bool every(const Graph&, const Node&) {
  return true;
}

std::vector<const Node*> named(const Graph& graph, const char* op) {
  std::vector<const Node*> found;
  for (const Node& node : graph.nodes) {
    if (node.op->name == op) found.push_back(&node);
  }
  return found;
}

// Nine blocks, each with a norm and ReLU between its two convolutions; the other ten norms add a residual or feed one.
TEST(NormalizeInConvolutions, TheNormsInsideBlocksWriteNoActivation) {
  const Graph given = training_graph(cifar_resnet(20), cifar(4));
  const Graph graph = normalize_in_convolutions(given, every);
  EXPECT_TRUE(is_ordered(graph));
  EXPECT_EQ(count(graph, "batch_norm_factors"), 9);
  EXPECT_EQ(count(graph, "batch_norm"), 10);
  EXPECT_EQ(graph.nodes.size(), given.nodes.size());
  const std::vector<const Node*> norms = named(graph, "batch_norm_factors");
  int normalized = 0;
  for (const char* op : {"conv2d", "conv2d_backward_weights"}) {
    const std::size_t at = op == std::string("conv2d") ? 4 : 2;
    for (const Node* node : named(graph, op)) {
      if (node->inputs.size() <= at) continue;
      const Node& norm = graph.node(graph.value(node->inputs[at]).producer);
      EXPECT_EQ(norm.op->name, "batch_norm_factors");
      EXPECT_EQ(node->inputs[0], norm.inputs[0]);
      EXPECT_EQ(node->inputs[at], norm.outputs[4]);
      EXPECT_EQ(node->inputs[at + 1], norm.outputs[5]);
      EXPECT_TRUE(node->attributes.flag("input_relu"));
      ++normalized;
    }
  }
  EXPECT_EQ(normalized, 18);
}

TEST(NormalizeInConvolutions, NothingChangesWhereOneReaderCannot) {
  const Graph given = training_graph(cifar_resnet(20), cifar(4));
  const auto forward_alone = [](const Graph&, const Node& node) { return node.op->name == "conv2d"; };
  EXPECT_EQ(count(normalize_in_convolutions(given, forward_alone), "batch_norm_factors"), 0);
}

TEST(NormalizeInConvolutions, ANormThatTheCallerReadsStays) {
  Graph given = training_graph(cifar_resnet(20), cifar(4));
  for (const Node* norm : named(given, "batch_norm")) given.outputs.push_back(norm->outputs[0]);
  EXPECT_EQ(count(normalize_in_convolutions(given, every), "batch_norm_factors"), 0);
}

}  // namespace
}  // namespace athanor::graph_test
