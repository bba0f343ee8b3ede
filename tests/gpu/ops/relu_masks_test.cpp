// Which batch norms leave a mask of their ReLU for the gradient.
#include "backend/cuda/relu_masks.h"

#include <gtest/gtest.h>

#include "graph/op.h"
#include "graph/passes/dead_code.h"
#include "graph/passes/fusion.h"
#include "graph/passes/gradient.h"
#include "graph/samples.h"

namespace athanor::testing {
namespace {

/// relu(batch_norm(x) + r) and its gradients, fused.
Graph residual_block(DType dtype, std::int64_t channels, bool has_residual) {
  Graph graph;
  Builder builder{graph};
  const Shape image{2, channels, 4, 4}, per_channel{channels};
  const ValueId x = builder.input("x", image, dtype), r = builder.input("r", image, dtype);
  const ValueId gamma = builder.input("gamma", per_channel, DType::f32);
  const ValueId beta = builder.input("beta", per_channel, DType::f32), dy = builder.input("dy", image, dtype);
  ValueId z = builder.add("batch_norm", {x, gamma, beta, kNoValue}, {{"eps", 1e-5}, {"momentum", 0.1}})[0];
  if (has_residual) z = builder.add1("add", {z, r});
  const ValueId y = builder.add1("relu", {z});
  std::vector<ValueId> gradients;
  Graph whole = differentiate(std::move(graph), std::vector{y}, std::vector{dy},
                              has_residual ? std::vector{x, r, gamma} : std::vector{x, gamma}, gradients);
  whole.outputs = {y};
  whole.outputs.insert(whole.outputs.end(), gradients.begin(), gradients.end());
  return fuse(remove_dead_code(std::move(whole)));
}

const Node& node_named(const Graph& graph, std::string_view op) {
  for (const Node& node : graph.nodes) {
    if (node.op->name == op) return node;
  }
  throw std::runtime_error("no such node");
}

constexpr std::size_t kForwardOutputs = 5, kBackwardY = 6, kBackwardMask = 8;

TEST(ReluMasks, AResidualBlocksGradientReadsBitsInsteadOfTheOutput) {
  for (const DType dtype : {DType::f16, DType::bf16}) {
    const Graph graph = cuda::mask_relus(residual_block(dtype, 16, true));
    const Node &norm = node_named(graph, "batch_norm"), &gradient = node_named(graph, "batch_norm_backward");
    ASSERT_EQ(norm.outputs.size(), kForwardOutputs + 1);
    ASSERT_EQ(gradient.inputs.size(), kBackwardMask + 1);
    EXPECT_EQ(gradient.inputs[kBackwardY], kNoValue);
    EXPECT_EQ(gradient.inputs[kBackwardMask], norm.outputs[kForwardOutputs]);
    const Value& mask = graph.value(norm.outputs[kForwardOutputs]);
    EXPECT_EQ(mask.dtype, DType::u8);
    EXPECT_EQ(mask.shape.elements(), 2 * 16 * 4 * 4 / 8);
  }
}

TEST(ReluMasks, NothingElseChanges) {
  for (const Graph& before : {residual_block(DType::f32, 16, true), residual_block(DType::f16, 12, true),
                              residual_block(DType::f16, 16, false)}) {
    const Graph after = cuda::mask_relus(before);
    EXPECT_EQ(after.values.size(), before.values.size());
    EXPECT_EQ(node_named(after, "batch_norm").outputs.size(), kForwardOutputs);
  }
}

}  // namespace
}  // namespace athanor::testing
