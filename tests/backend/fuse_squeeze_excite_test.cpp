// A residual block with squeeze-and-excitation, fused and not, gives the same values and gradients on the CPU.
#include <gtest/gtest.h>

#include <cmath>

#include "graph/builder.h"
#include "graph/passes/dead_code.h"
#include "graph/passes/gradient.h"
#include "support/op_runner.h"

namespace athanor::testing {
namespace {

using reference::Tensor;

struct SqueezeExcite {
  explicit SqueezeExcite(const Shape& shape) : shape(shape) {}

  ValueId feed(const Shape& of) {
    const reference::Extents extents(of.extents().begin(), of.extents().end());
    const ValueId value = builder.input(fmt::format("in{}", feeds.size()), of, DType::f32);
    feeds.emplace_back(value, reference::uniform_tensor(extents, stream, -1.0f, 1.0f));
    return value;
  }
  /// relu(x · sigmoid(mean of x) + residual); appends what only an unfused graph has.
  ValueId block(ValueId x, ValueId residual) {
    const ValueId s = builder.add1("sigmoid", {builder.add1("global_avg_pool", {x})});
    scaled.push_back(builder.add1("scale", {x, s}));
    const bool is_first = scaled.size() % 2 == 1;
    const ValueId sum = builder.add1("add", {is_first ? scaled.back() : residual, is_first ? residual : scaled.back()});
    return builder.add1("relu", {sum});
  }

  Shape shape;
  Graph graph;
  Builder builder{graph};
  Feeds feeds;
  RandomStream stream{43, Purpose::test, 0, 0};
  std::vector<ValueId> scaled;
};

/// The output of two blocks and the gradients of their inputs. A graph whose scaled values the caller wants too is not
/// fused forward; whose sums of gradients it wants, not backward.
std::vector<Tensor> run_blocks(const Shape& shape, bool is_fused, const RunOptions& options) {
  SqueezeExcite network(shape);
  const ValueId first = network.feed(shape), second = network.feed(shape), third = network.feed(shape);
  // Two readers of the first block's output: its gradient is a sum.
  const ValueId middle = network.block(first, second);
  const ValueId y = network.block(network.builder.add1("tanh", {middle}), middle);
  const std::vector<ValueId> wrt{first, second}, dy{third};
  std::vector<ValueId> gradients;
  Graph graph = differentiate(std::move(network.graph), std::vector{y}, dy, wrt, gradients);
  graph.outputs = {y};
  graph.outputs.insert(graph.outputs.end(), gradients.begin(), gradients.end());
  if (!is_fused) {
    graph.outputs.insert(graph.outputs.end(), network.scaled.begin(), network.scaled.end());
    for (const Node& node : graph.nodes) {
      if (node.op->name == "scale_backward") graph.outputs.push_back(node.outputs[0]);
    }
  }
  std::vector<Tensor> all = run_graph(remove_dead_code(std::move(graph)), network.feeds, options);
  all.resize(3);
  return all;
}

/// Both round the same products and sums, the fused one some of them in one rounding less: 2⁻²⁰ of the largest element.
TEST(FuseSqueezeExcite, GivesWhatItsPartsGive) {
  for (const Shape& shape : {Shape{2, 32, 7, 5}, Shape{3, 19, 4, 4}, Shape{1, 16, 1, 1}}) {
    for (const int threads : {1, 2}) {
      const RunOptions options{.dtype = DType::f32, .threads = threads, .layout = kPlain, .seed = 0};
      const std::vector<Tensor> fused = run_blocks(shape, true, options), parts = run_blocks(shape, false, options);
      for (std::size_t i = 0; i < fused.size(); ++i) {
        double largest = 0;
        for (const double value : parts[i].values) largest = std::max(largest, std::abs(value));
        EXPECT_GT(largest, 0);
        for (std::int64_t e = 0; e < fused[i].elements(); ++e) {
          ASSERT_NEAR(fused[i][e], parts[i][e], 0x1p-20 * largest) << shape.text() << " value " << i << " at " << e;
        }
      }
    }
  }
}

}  // namespace
}  // namespace athanor::testing
