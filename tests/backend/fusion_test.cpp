// A fused graph computes what its parts compute, forward and backward: on the CPU back end, in every activation layout.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "graph/builder.h"
#include "graph/passes/dead_code.h"
#include "graph/passes/fusion.h"
#include "graph/passes/gradient.h"
#include "support/op_runner.h"

namespace athanor::testing {
namespace {

using reference::Tensor;

/// A network of parameters and inputs that tests differentiate by everything they feed.
struct Network {
  Graph graph;
  Builder builder{graph};
  Feeds feeds;
  std::vector<ValueId> wrt;
  RandomStream stream{31, Purpose::test, 0, 0};

  ValueId feed(const Shape& shape, float low = -1.0f, float high = 1.0f) {
    const reference::Extents extents(shape.extents().begin(), shape.extents().end());
    const ValueId value = builder.input(fmt::format("in{}", feeds.size()), shape, DType::f32);
    feeds.emplace_back(value, reference::uniform_tensor(extents, stream, low, high));
    wrt.push_back(value);
    return value;
  }
  ValueId conv(ValueId x, std::int64_t channels, bool has_bias) {
    using List = std::vector<std::int64_t>;
    const ValueId weight = feed({channels, builder.shape(x)[1], 3, 3});
    const ValueId bias = has_bias ? feed({channels}) : kNoValue;
    return builder.add1("conv2d", {x, weight, bias},
                        {{"stride", List{1, 1}},
                         {"padding", List{1, 1}},
                         {"dilation", List{1, 1}},
                         {"groups", std::int64_t{1}},
                         {"activation", std::string("none")}});
  }
  ValueId batch_norm(ValueId x) {
    const Shape channels{builder.shape(x)[1]};
    const ValueId gamma = feed(channels, 0.5f, 1.5f), beta = feed(channels);
    return builder.add1("batch_norm", {x, gamma, beta, kNoValue},
                        {{"eps", 1e-5}, {"momentum", 0.1}, {"activation", std::string("none")}, {"residual", false}});
  }
  ValueId max_pool(ValueId x, std::int64_t kernel, std::int64_t stride) {
    using List = std::vector<std::int64_t>;
    return builder.add1("max_pool2d", {x},
                        {{"kernel", List{kernel, kernel}}, {"stride", List{stride, stride}}, {"padding", List{1, 1}}});
  }
  ValueId relu(ValueId x) { return builder.add1("relu", {x}); }
  ValueId add(ValueId a, ValueId b) { return builder.add1("add", {a, b}); }
};

using Build = std::function<ValueId(Network&)>;

struct Runs {
  std::vector<Tensor> unfused, fused;  ///< y, then the gradient of everything fed
  std::size_t unfused_nodes = 0, fused_nodes = 0;
};

Runs run_both(const Build& build, std::int64_t threads) {
  Network network;
  const ValueId y = build(network);
  const std::vector<ValueId> wrt = network.wrt;
  const std::vector<ValueId> dy{network.feed(network.builder.shape(y))};
  std::vector<ValueId> gradients;
  Graph graph = differentiate(std::move(network.graph), std::vector{y}, dy, wrt, gradients);
  graph.outputs = {y};
  graph.outputs.insert(graph.outputs.end(), gradients.begin(), gradients.end());
  graph = remove_dead_code(std::move(graph));
  const Graph fused = fuse(graph);
  const RunOptions options{.dtype = DType::f32, .threads = static_cast<int>(threads), .layout = kPlain, .seed = 0};
  return {run_graph(graph, network.feeds, options), run_graph(fused, network.feeds, options), graph.nodes.size(),
          fused.nodes.size()};
}

/// Both run the same kernels on the same numbers, but a fused one keeps in a register what the parts store, and the
/// compiler may contract it: a few units in the last place of the largest element of each tensor.
void expect_equal(const Runs& runs) {
  EXPECT_LT(runs.fused_nodes, runs.unfused_nodes) << "nothing was fused";
  ASSERT_EQ(runs.fused.size(), runs.unfused.size());
  for (std::size_t i = 0; i < runs.fused.size(); ++i) {
    double largest = 0;
    for (const double value : runs.unfused[i].values) largest = std::max(largest, std::abs(value));
    EXPECT_GT(largest, 0) << "value " << i;
    for (std::int64_t e = 0; e < runs.fused[i].elements(); ++e) {
      ASSERT_NEAR(runs.fused[i][e], runs.unfused[i][e], 0x1p-20 * largest) << "value " << i << ", element " << e;
    }
  }
}

/// Channels on and off the blocks of a layout.
class Fusion : public ::testing::TestWithParam<std::int64_t> {
 protected:
  Shape image() const { return {3, GetParam(), 7, 5}; }
};

TEST_P(Fusion, ConvBiasReluIsExact) {
  for (const int threads : {1, 2}) {
    const Runs runs = run_both([&](Network& n) { return n.relu(n.conv(n.feed(image()), 16, true)); }, threads);
    EXPECT_LT(runs.fused_nodes, runs.unfused_nodes);
    for (std::size_t i = 0; i < runs.fused.size(); ++i) EXPECT_EQ(runs.fused[i].values, runs.unfused[i].values) << i;
  }
}

TEST_P(Fusion, ReluBeforeMaxPoolIsExact) {
  for (const std::int64_t kernel : {2, 3}) {
    const Runs runs = run_both(
        [&](Network& n) { return n.max_pool(n.relu(n.conv(n.feed(image()), GetParam(), true)), kernel, 2); }, 2);
    EXPECT_LT(runs.fused_nodes, runs.unfused_nodes);
    for (std::size_t i = 0; i < runs.fused.size(); ++i) EXPECT_EQ(runs.fused[i].values, runs.unfused[i].values) << i;
  }
}

TEST_P(Fusion, ConvBatchNormRelu) {
  for (const int threads : {1, 2}) {
    expect_equal(run_both([&](Network& n) { return n.relu(n.batch_norm(n.conv(n.feed(image()), GetParam(), false))); },
                          threads));
  }
}

TEST_P(Fusion, ConvBatchNormAddRelu) {
  for (const int threads : {1, 2}) {
    expect_equal(run_both(
        [&](Network& n) {
          const ValueId x = n.feed(image());
          return n.relu(n.add(n.batch_norm(n.conv(x, GetParam(), false)), x));
        },
        threads));
  }
}

/// Two blocks: the gradient that reaches the first one's last norm is a sum of two, and is fused too.
TEST_P(Fusion, ResidualBlocks) {
  for (const int threads : {1, 2}) {
    expect_equal(run_both(
        [&](Network& n) {
          ValueId x = n.feed(image());
          for (int block = 0; block < 2; ++block) {
            ValueId y = n.relu(n.batch_norm(n.conv(x, GetParam(), false)));
            y = n.batch_norm(n.conv(y, GetParam(), false));
            x = n.relu(n.add(y, x));
          }
          return x;
        },
        threads));
  }
}

INSTANTIATE_TEST_SUITE_P(Channels, Fusion, ::testing::Values(5, 16, 24));

}  // namespace
}  // namespace athanor::testing
