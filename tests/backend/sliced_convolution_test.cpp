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

/// What else reads the norm's output than a convolution of 3×3: nothing; the sum behind a 1×1 one, whose gradient is
/// there before; or a 1×1 of stride 2 beside it.
enum class Kind { alone, strided, residual, shortcut };

/// conv, norm, add, ReLU, conv of images that take a slice each, with the gradients of all that they read.
struct SlicedChain {
  static constexpr std::int64_t kSide = 64, kBatch = 4, kChannels = 64;
  Graph graph;
  Feeds feeds;

  explicit SlicedChain(Kind kind) {
    Builder builder{graph};
    const std::int64_t stride = kind == Kind::strided || kind == Kind::shortcut ? 2 : 1;
    const std::int64_t kernel = kind == Kind::residual ? 1 : 3, side = kSide / stride;
    const ValueId x = feed(builder, {kBatch, 16, kSide, kSide}), first = feed(builder, {kChannels, 16, 1, 1});
    const ValueId gamma = feed(builder, {kChannels}), beta = feed(builder, {kChannels});
    const ValueId residual = feed(builder, {kBatch, kChannels, kSide, kSide});
    const ValueId second = feed(builder, {kChannels, kChannels, kernel, kernel});
    const ValueId third = feed(builder, {kChannels, kChannels, 1, 1});
    const ValueId dy = feed(builder, {kBatch, kChannels, side, side});
    const ValueId between = builder.add1("conv2d", {x, first}, window(1, 0));
    ValueId z = builder.add("batch_norm", {between, gamma, beta, kNoValue}, {})[0];
    z = builder.add1("relu", {builder.add1("add", {z, residual})});
    ValueId y = builder.add1("conv2d", {z, second}, window(stride, kernel / 2));
    if (kind == Kind::residual) y = builder.add1("add", {y, z});
    if (kind == Kind::shortcut) y = builder.add1("add", {y, builder.add1("conv2d", {z, third}, window(stride, 0))});
    const std::vector<ValueId> wrt{x, first, second, gamma, beta, residual};
    std::vector<ValueId> gradients;
    graph = differentiate(std::move(graph), std::vector{y}, std::vector{dy}, wrt, gradients);
    graph.outputs = {y};
    graph.outputs.insert(graph.outputs.end(), gradients.begin(), gradients.end());
    graph = fuse(remove_dead_code(std::move(graph)));
  }

  static Attributes window(std::int64_t stride, std::int64_t padding) {
    const auto both = [](std::int64_t value) { return std::vector<std::int64_t>{value, value}; };
    return {{"stride", both(stride)}, {"padding", both(padding)}, {"dilation", both(1)}};
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
  for (const Kind kind : {Kind::alone, Kind::strided, Kind::residual, Kind::shortcut}) {
    for (const int threads : {1, 2}) {
      OwnKernels own;
      const RunOptions whole{.threads = threads, .layout = cpu::blocked_layout()};
      RunOptions sliced = whole;
      sliced.convolutions = own.choices();
      const SlicedChain chain(kind);
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
              << "kind " << static_cast<int>(kind) << ", value " << i << " at " << at;
        }
      }
    }
  }
}

}  // namespace
}  // namespace athanor::testing
