// A batch norm between two of our own convolutions, moved into the second and not, gives the same bits on the CPU.
#include <gtest/gtest.h>

#include <algorithm>

#include "backend/cpu/onednn.h"
#include "backend/cpu/planner.h"
#include "backend/own_kernels.h"
#include "graph/builder.h"
#include "graph/op.h"
#include "graph/passes/dead_code.h"
#include "graph/passes/gradient.h"
#include "kernels/isa.h"
#include "support/op_runner.h"

namespace athanor::testing {
namespace {

using reference::Tensor;

struct Sizes {
  std::int64_t batch, in, middle, out, height, width;
};

/// conv, norm, conv: y, and the gradients of x, both weights, gamma and beta. Where the caller wants the normalised
/// activation too, the norm writes it.
std::vector<Tensor> run_chain(const Sizes& sizes, const std::string& activation, bool is_moved,
                              const RunOptions& options) {
  Graph graph;
  Builder builder{graph};
  Feeds feeds;
  RandomStream stream{47, Purpose::test, 0, 0};
  const auto feed = [&](const Shape& shape) {
    const reference::Extents extents(shape.extents().begin(), shape.extents().end());
    const ValueId value = builder.input(fmt::format("in{}", feeds.size()), shape, DType::f32);
    feeds.emplace_back(value, reference::uniform_tensor(extents, stream, -1.0f, 1.0f));
    return value;
  };
  const auto& [batch, in, middle, out, height, width] = sizes;
  const std::vector<std::int64_t> one{1, 1};
  const Attributes window{{"stride", one}, {"padding", one}, {"dilation", one}};
  const ValueId x = feed({batch, in, height, width}), first = feed({middle, in, 3, 3});
  const ValueId second = feed({out, middle, 3, 3}), gamma = feed({middle}), beta = feed({middle});
  const ValueId dy = feed({batch, out, height, width});
  const ValueId between = builder.add1("conv2d", {x, first}, window);
  const ValueId normalized =
      builder.add("batch_norm", {between, gamma, beta, kNoValue}, {{"activation", activation}})[0];
  const ValueId y = builder.add1("conv2d", {normalized, second}, window);
  const std::vector<ValueId> wrt{x, first, second, gamma, beta};
  std::vector<ValueId> gradients;
  graph = differentiate(std::move(graph), std::vector{y}, std::vector{dy}, wrt, gradients);
  graph.outputs = {y};
  graph.outputs.insert(graph.outputs.end(), gradients.begin(), gradients.end());
  if (!is_moved) graph.outputs.push_back(normalized);
  graph = remove_dead_code(std::move(graph));
  const Graph rewritten = cpu::CpuPlanner(options.threads, options.convolutions).rewrite(graph);
  const bool has_moved = std::any_of(rewritten.nodes.begin(), rewritten.nodes.end(),
                                     [](const Node& node) { return node.op->name == "batch_norm_factors"; });
  EXPECT_EQ(has_moved, is_moved && kernels::active_isa() != kernels::Isa::baseline);
  std::vector<Tensor> all = run_graph(graph, feeds, options);
  all.resize(wrt.size() + 1);
  return all;
}

TEST(NormalizeInConvolutions, GivesTheBitsOfANormOfItsOwn) {
  for (const Sizes& sizes : {Sizes{3, 16, 32, 16, 9, 7}, Sizes{2, 32, 16, 48, 16, 13}, Sizes{2, 16, 64, 64, 4, 4}}) {
    for (const std::string activation : {"none", "relu"}) {
      for (const int threads : {1, 2}) {
        OwnKernels own;
        const RunOptions options{.threads = threads, .layout = cpu::blocked_layout(), .convolutions = own.choices()};
        const std::vector<Tensor> moved = run_chain(sizes, activation, true, options);
        const std::vector<Tensor> parts = run_chain(sizes, activation, false, options);
        if (own.taken() == 0) GTEST_SKIP() << "this processor has no kernel of ours";
        for (std::size_t i = 0; i < moved.size(); ++i) EXPECT_EQ(moved[i].values, parts[i].values) << "value " << i;
      }
    }
  }
}

}  // namespace
}  // namespace athanor::testing
