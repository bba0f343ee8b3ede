// A convolution of oneDNN beside a batch norm, in slices of the batch and whole, is the same but for the rounding of
// the norm's sums.
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
#include "support/op_runner.h"

namespace athanor::testing {
namespace {

using reference::Tensor;

/// conv, norm, add, ReLU, conv of images that take a slice each, with the gradients of all that they read.
struct SlicedChain {
  Graph graph;
  Feeds feeds;

  explicit SlicedChain(std::int64_t stride) {
    Builder builder{graph};
    const std::vector<std::int64_t> one{1, 1}, none{0, 0}, step{stride, stride};
    const Attributes point{{"stride", one}, {"padding", none}, {"dilation", one}};
    const Attributes window{{"stride", step}, {"padding", one}, {"dilation", one}};
    constexpr std::int64_t kSide = 64, kBatch = 4;
    const std::int64_t small = (kSide + stride - 1) / stride;
    const ValueId x = feed(builder, {kBatch, 16, kSide, kSide}), first = feed(builder, {64, 16, 1, 1});
    const ValueId second = feed(builder, {16, 64, 3, 3}), gamma = feed(builder, {64}), beta = feed(builder, {64});
    const ValueId residual = feed(builder, {kBatch, 64, kSide, kSide});
    const ValueId dy = feed(builder, {kBatch, 16, small, small});
    const ValueId between = builder.add1("conv2d", {x, first}, point);
    ValueId z = builder.add("batch_norm", {between, gamma, beta, kNoValue}, {})[0];
    z = builder.add1("relu", {builder.add1("add", {z, residual})});
    const ValueId y = builder.add1("conv2d", {z, second}, window);
    const std::vector<ValueId> wrt{x, first, second, gamma, beta, residual};
    std::vector<ValueId> gradients;
    graph = differentiate(std::move(graph), std::vector{y}, std::vector{dy}, wrt, gradients);
    graph.outputs = {y};
    graph.outputs.insert(graph.outputs.end(), gradients.begin(), gradients.end());
    graph = fuse(remove_dead_code(std::move(graph)));
  }

  ValueId feed(Builder& builder, const Shape& shape) {
    RandomStream stream{49, Purpose::test, 0, feeds.size()};
    const reference::Extents extents(shape.extents().begin(), shape.extents().end());
    const ValueId value = builder.input(fmt::format("in{}", feeds.size()), shape, DType::f32);
    feeds.emplace_back(value, reference::uniform_tensor(extents, stream, -1.0f, 1.0f));
    return value;
  }
};

/// Convolutions that have the sums of a norm among their outputs.
std::ptrdiff_t count_sums(const Graph& graph, std::string_view op) {
  return std::count_if(graph.nodes.begin(), graph.nodes.end(),
                       [&](const Node& node) { return node.op->name == op && node.attributes.flag("statistics"); });
}

TEST(SlicedConvolution, GivesTheValuesOfTheWholeBatch) {
  for (const std::int64_t stride : {1, 2}) {
    for (const int threads : {1, 2}) {
      OwnKernels own;
      const RunOptions whole{.threads = threads, .layout = cpu::blocked_layout()};
      RunOptions sliced = whole;
      sliced.convolutions = own.choices();
      const SlicedChain chain(stride);
      const Graph rewritten = cpu::CpuPlanner(threads, own.choices()).rewrite(chain.graph);
      EXPECT_EQ(count_sums(rewritten, "conv2d"), 1);
      EXPECT_EQ(count_sums(rewritten, "conv2d_backward_data"), 1);
      const std::vector<Tensor> got = run_graph(chain.graph, chain.feeds, sliced);
      const std::vector<Tensor> want = run_graph(chain.graph, chain.feeds, whole);
      for (std::size_t i = 0; i < want.size(); ++i) {
        double largest = 0;
        for (const double value : want[i].values) largest = std::max(largest, std::fabs(value));
        // Float sums of a norm's statistics, whose rounding reaches all that is behind them; and with stride 1, where
        // our own kernel may run the second convolution, Winograd's sixteenfold rounding of a sum of 576 products.
        const double bound = 1024 * 0x1p-24 * largest;
        for (std::size_t at = 0; at < want[i].values.size(); ++at) {
          ASSERT_NEAR(got[i].values[at], want[i].values[at], bound)
              << "stride " << stride << ", value " << i << " at " << at;
        }
      }
    }
  }
}

}  // namespace
}  // namespace athanor::testing
