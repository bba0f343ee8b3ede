// The parts of a synchronised batch norm, put together over a batch of one shard, are a batch norm: held against
// batch_norm's reference, forward and gradient, alone and fused with what follows, in every activation layout.
#include <gtest/gtest.h>

#include "backend/op_checking.h"
#include "graph/builder.h"
#include "graph/passes/dead_code.h"
#include "graph/passes/fusion.h"
#include "graph/passes/gradient.h"
#include "support/op_runner.h"

namespace athanor::testing {
namespace {

using reference::Tensor;

constexpr int kNormCases = 32;

ValueId build_norm(Builder& builder, ValueId x, ValueId gamma, ValueId beta, double eps) {
  const std::int64_t count = builder.shape(x).elements() / builder.shape(x)[1];
  const ValueId moments = builder.add1("batch_norm_moments", {x});
  const std::vector<ValueId> statistics =
      builder.add("batch_norm_combine", {builder.add1("gather_shards", {moments})}, {{"eps", eps}, {"count", count}});
  return builder.add1("batch_norm_apply", {x, gamma, beta, statistics[0], statistics[1], kNoValue});
}

/// The network of a case of batch_norm, from parts.
struct NormGraph {
  Graph graph;
  Builder builder{graph};
  Feeds feeds;
  std::vector<ValueId> operands;
  RunOptions options;

  ValueId feed(const Tensor& tensor, DType dtype) {
    ValueId value = builder.input(fmt::format("in{}", feeds.size()), Shape(std::span(tensor.shape)), DType::f32);
    feeds.emplace_back(value, tensor);
    if (dtype != DType::f32) value = builder.add1("cast", {value}, {{"dtype", std::string(name_of(dtype))}});
    const std::int64_t block = options.layout == "nChw16c" ? 16 : options.layout == "nChw8c" ? 8 : 1;
    if (tensor.shape.size() == 4 && options.layout != kPlain && tensor.shape[1] % block == 0) {
      value = builder.add1("reorder", {value}, {{"to", options.layout}});
    }
    return value;
  }

  ValueId build(const OpCall& call) {
    for (std::size_t i = 0; i < call.inputs.size(); ++i) {
      operands.push_back(call.inputs[i] ? feed(*call.inputs[i], operand_dtype(call.op, i, options.dtype)) : kNoValue);
    }
    ValueId y = build_norm(builder, operands[0], operands[1], operands[2], call.attributes.real("eps"));
    if (operands[3] != kNoValue) y = builder.add1("add", {y, operands[3]});
    return call.attributes.text("activation") == "relu" ? builder.add1("relu", {y}) : y;
  }
};

/// Fused, a case with ReLU has neither a ReLU nor a sum; one without ReLU keeps its sum.
void expect_fused(const Graph& graph, const OpCall& call) {
  if (call.attributes.text("activation") != "relu") return;
  for (const Node& node : graph.nodes) {
    EXPECT_TRUE(node.op->name != "relu" && node.op->name != "relu_backward" && node.op->name != "add") << node.op->name;
  }
}

void check_case(int i, DType dtype) {
  static const std::vector<Layout> kLayouts{"nChw16c", "plain", "nhwc", "nChw8c"};
  RandomStream stream(24, Purpose::test, static_cast<std::uint64_t>(i), 0);
  const reference::ReferenceOp& op = *reference::find_reference("batch_norm");
  const reference::Case drawn = rounded_operands("batch_norm", op.random_case(stream), dtype);
  const OpCall call = op_call("batch_norm", drawn);
  NormGraph network;
  network.options = {.dtype = dtype,
                     .threads = 1 + i / 4 % 2,
                     .layout = kLayouts[static_cast<std::size_t>(i) % kLayouts.size()],
                     .seed = 0};
  const ValueId y = network.build(call);
  const Tensor dy = rounded(reference::uniform_tensor(drawn.inputs[0].shape, stream), dtype);
  const std::vector<ValueId> ys{y}, seeds{network.feed(dy, dtype)};
  std::vector<ValueId> wrt = network.operands, gradients;
  std::erase(wrt, kNoValue);
  Graph graph = differentiate(std::move(network.graph), ys, seeds, wrt, gradients);
  graph.outputs = {y};
  graph.outputs.insert(graph.outputs.end(), gradients.begin(), gradients.end());
  graph = fuse(remove_dead_code(std::move(graph)));
  expect_fused(graph, call);
  const std::vector<Tensor> got = run_graph(graph, network.feeds, network.options);
  const bool is_bf16 = dtype == DType::bf16;
  // A sum that no ReLU follows is not fused: what it adds was rounded when it was stored.
  const bool is_rounded_twice = call.inputs[3] && call.attributes.text("activation") != "relu";
  const auto bfloat16 = is_rounded_twice ? bfloat16_gradient_tolerance : bfloat16_tolerance;
  expect_close(got[0], op.forward(drawn.inputs, drawn.attributes)[0], is_bf16 ? bfloat16 : float32_tolerance, "y");
  const auto want = op.backward(drawn.inputs, dy, drawn.attributes);
  ASSERT_EQ(got.size(), want.size() + 1);
  for (std::size_t input = 0; input < want.size(); ++input) {
    expect_close(got[input + 1], *want[input], is_bf16 ? bfloat16_gradient_tolerance : float32_tolerance,
                 fmt::format("gradient of input {}", input));
  }
}

TEST(SynchronizedNorm, OfOneShardIsABatchNormInFloat32) {
  for (int i = 0; i < kNormCases && !::testing::Test::HasFatalFailure(); ++i) {
    SCOPED_TRACE(i);
    check_case(i, DType::f32);
  }
}

TEST(SynchronizedNorm, OfOneShardIsABatchNormInBFloat16) {
  for (int i = 0; i < kNormCases && !::testing::Test::HasFatalFailure(); ++i) {
    SCOPED_TRACE(i);
    check_case(i, DType::bf16);
  }
}

}  // namespace
}  // namespace athanor::testing
