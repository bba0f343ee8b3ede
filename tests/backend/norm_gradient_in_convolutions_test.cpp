// The backward pass of a batch norm, begun by the convolution behind it and not, is the same but for rounding.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "backend/cpu/onednn.h"
#include "backend/cpu/planner.h"
#include "backend/own_kernels.h"
#include "graph/builder.h"
#include "graph/op.h"
#include "graph/passes/dead_code.h"
#include "graph/passes/fusion.h"
#include "graph/passes/gradient.h"
#include "kernels/isa.h"
#include "support/op_runner.h"

namespace athanor::testing {
namespace {

using reference::Tensor;

enum class Kind { no_relu, relu, residual, shortcut };

/// conv, norm, conv, of `kind`: with a ReLU behind the norm; with a residual before it and a second reader of its
/// output; with one that has come through a convolution of its own.
struct NormChain {
  Graph graph;
  Feeds feeds;

  explicit NormChain(Kind kind) {
    Builder builder{graph};
    const std::vector<std::int64_t> one{1, 1};
    const Attributes window{{"stride", one}, {"padding", one}, {"dilation", one}};
    const ValueId x = feed(builder, {2, 16, 9, 7}), first = feed(builder, {32, 16, 3, 3});
    const ValueId second = feed(builder, {32, 32, 3, 3}), gamma = feed(builder, {32}), beta = feed(builder, {32});
    const ValueId residual = feed(builder, {2, 32, 9, 7}), third = feed(builder, {32, 32, 3, 3});
    const ValueId dy = feed(builder, {2, 32, 9, 7});
    const ValueId between = builder.add1("conv2d", {x, first}, window);
    ValueId z = builder.add("batch_norm", {between, gamma, beta, kNoValue}, {})[0];
    if (kind == Kind::residual || kind == Kind::shortcut) z = builder.add1("add", {z, residual});
    if (kind != Kind::no_relu) z = builder.add1("relu", {z});
    ValueId y = builder.add1("conv2d", {z, second}, window);
    if (kind == Kind::residual) y = builder.add1("add", {y, z});
    if (kind == Kind::shortcut) y = builder.add1("add", {y, builder.add1("conv2d", {z, third}, window)});
    std::vector<ValueId> wrt{x, first, second, gamma, beta};
    if (kind == Kind::residual || kind == Kind::shortcut) wrt.push_back(residual);
    std::vector<ValueId> gradients;
    graph = differentiate(std::move(graph), std::vector{y}, std::vector{dy}, wrt, gradients);
    graph.outputs = {y};
    graph.outputs.insert(graph.outputs.end(), gradients.begin(), gradients.end());
    graph = fuse(remove_dead_code(std::move(graph)));
  }

  ValueId feed(Builder& builder, const Shape& shape) {
    RandomStream stream{48, Purpose::test, 0, feeds.size()};
    const reference::Extents extents(shape.extents().begin(), shape.extents().end());
    const ValueId value = builder.input(fmt::format("in{}", feeds.size()), shape, DType::f32);
    feeds.emplace_back(value, reference::uniform_tensor(extents, stream, -1.0f, 1.0f));
    return value;
  }

  /// What reaches the norm's gradient is wanted too, so that it must be written as it is.
  void ask_for_incoming_gradient() {
    for (const Node& node : graph.nodes) {
      if (node.op->name != "batch_norm_backward") continue;
      for (const std::size_t at : {0, 7}) {
        if (at < node.inputs.size() && node.inputs[at] != kNoValue) graph.outputs.push_back(node.inputs[at]);
      }
    }
  }

  bool is_begun(const RunOptions& options) const {
    const Graph rewritten = cpu::CpuPlanner(options.threads, options.convolutions).rewrite(graph);
    return std::any_of(rewritten.nodes.begin(), rewritten.nodes.end(), [](const Node& node) {
      return node.op->name == "conv2d_backward_data" && node.attributes.flag("statistics");
    });
  }
};

double largest(const Tensor& tensor) {
  double most = 0;
  for (const double value : tensor.values) most = std::max(most, std::fabs(value));
  return most;
}

TEST(NormGradientInConvolutions, GivesTheGradientsOfANormOfItsOwn) {
  for (const Kind kind : {Kind::no_relu, Kind::relu, Kind::residual, Kind::shortcut}) {
    for (const int threads : {1, 2}) {
      OwnKernels own;
      const RunOptions options{.threads = threads, .layout = cpu::blocked_layout(), .convolutions = own.choices()};
      NormChain chain(kind);
      const std::size_t values = chain.graph.outputs.size();
      const bool is_begun = chain.is_begun(options);
      if (own.taken() == 0) GTEST_SKIP() << "this processor has no kernel of ours";
      EXPECT_TRUE(is_begun);
      const std::vector<Tensor> begun = run_graph(chain.graph, chain.feeds, options);
      chain.ask_for_incoming_gradient();
      EXPECT_FALSE(chain.is_begun(options));
      const std::vector<Tensor> apart = run_graph(chain.graph, chain.feeds, options);
      for (std::size_t i = 0; i < values; ++i) {
        ASSERT_EQ(begun[i].values.size(), apart[i].values.size());
        // The norm's sums are rounded to float32 once more, and added up in another order: some units in the last
        // place of gradients that cancel.
        const double bound = 64 * 0x1p-24 * largest(apart[i]);
        for (std::size_t at = 0; at < apart[i].values.size(); ++at) {
          ASSERT_NEAR(begun[i].values[at], apart[i].values[at], bound)
              << "kind " << static_cast<int>(kind) << " value " << i << " at " << at;
        }
      }
    }
  }
}

}  // namespace
}  // namespace athanor::testing
