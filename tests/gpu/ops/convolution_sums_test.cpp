// Convolutions that sum their output for the batch norm behind them: which do, and that a network stays what it was.
#include "graph/passes/convolution_sums.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "backend/cuda/ops/conv2d.h"
#include "backend/cuda/product.h"
#include "gpu/emulation/emulated_device.h"
#include "gpu/support/cuda_runner.h"
#include "gpu/support/forwarding_device.h"
#include "gpu/support/test_device.h"
#include "graph/passes/dead_code.h"
#include "graph/passes/fusion.h"
#include "graph/passes/gradient.h"
#include "graph/samples.h"

namespace athanor::testing {
namespace {

using reference::Tensor;

bool is_summing(const cuda::ProductSpec& spec) {
  const auto* conv = std::get_if<cuda::ConvolutionSpec>(&spec);
  return conv != nullptr && conv->statistics;
}

Graph summed(Graph graph, cuda::EngineChoice& engines) {
  return sum_in_convolutions(std::move(graph), [&](const Graph& of, const Node& conv) {
    return cuda::ops::can_sum_output(of, conv, engines, {});
  });
}

/// Counts the products that sum. Has one engine for each of them, so that none is timed, or none where told so.
class WatchedDevice : public ForwardingDevice {
 public:
  explicit WatchedDevice(bool has_sums) : ForwardingDevice(test_device()), has_sums_(has_sums) {}

  std::vector<std::string> engines(const cuda::ProductSpec& spec) override {
    std::vector<std::string> names = ForwardingDevice::engines(spec);
    if (is_summing(spec)) names.resize(has_sums_ ? std::min<std::size_t>(1, names.size()) : 0);
    return names;
  }
  std::unique_ptr<cuda::Product> make_product(const cuda::ProductSpec& spec, const std::string& engine) override {
    std::unique_ptr<cuda::Product> product = ForwardingDevice::make_product(spec, engine);
    if (product != nullptr && is_summing(spec)) ++summing_;
    return product;
  }
  int summing() const { return summing_; }

 private:
  bool has_sums_;
  int summing_ = 0;
};

/// Inputs that a test feeds, in float16 once they are in the graph, and differentiates by.
struct Network {
  Graph graph;
  Builder builder{graph};
  Feeds feeds;
  std::vector<ValueId> wrt;
  RandomStream stream{47, Purpose::test, 0, 0};

  Network() { builder.compute_dtype = DType::f16; }
  ValueId feed(const Shape& shape, float low = -1.0f, float high = 1.0f) {
    const reference::Extents extents(shape.extents().begin(), shape.extents().end());
    const ValueId value = builder.input(fmt::format("in{}", feeds.size()), shape, DType::f32);
    feeds.emplace_back(value, reference::uniform_tensor(extents, stream, low, high));
    wrt.push_back(value);
    return value;
  }
  ValueId image(const Shape& shape) { return builder.in_compute_dtype(feed(shape)); }
  ValueId conv(ValueId x, std::int64_t channels, std::int64_t kernel, std::int64_t stride) {
    using List = std::vector<std::int64_t>;
    const ValueId weight = image({channels, builder.shape(x)[1], kernel, kernel});
    return builder.add1("conv2d", {x, weight, kNoValue},
                        {{"stride", List{stride, stride}},
                         {"padding", List{kernel / 2, kernel / 2}},
                         {"dilation", List{1, 1}},
                         {"groups", std::int64_t{1}}});
  }
  std::vector<ValueId> batch_norm(ValueId x) {
    const Shape channels{builder.shape(x)[1]};
    const ValueId gamma = feed(channels, 0.5f, 1.5f), beta = feed(channels);
    return builder.add("batch_norm", {x, gamma, beta, kNoValue}, {{"eps", 1e-5}, {"momentum", 0.1}});
  }
};

/// y and the statistics of conv + norm + ReLU, in one case with a residual, then the gradients of all that is fed.
std::vector<Tensor> run_block(bool has_residual, std::int64_t stride, cuda::Device& device) {
  Network n;
  const ValueId x = n.image({4, 16, 9, 7});
  const std::vector<ValueId> norm = n.batch_norm(n.conv(x, 24, 3, stride));
  ValueId z = norm[0];
  if (has_residual) z = n.builder.add1("add", {z, n.image(n.builder.shape(z))});
  const ValueId y = n.builder.add1("relu", {z});
  const std::vector<ValueId> wrt = n.wrt, dy{n.image(n.builder.shape(y))};
  std::vector<ValueId> gradients;
  Graph graph = differentiate(std::move(n.graph), std::vector{y}, dy, wrt, gradients);
  graph.outputs = {y, norm[1], norm[2], norm[3], norm[4]};
  graph.outputs.insert(graph.outputs.end(), gradients.begin(), gradients.end());
  cuda::EngineChoice engines(device, "");
  return run_graph_on(device, engines, fuse(remove_dead_code(std::move(graph))), n.feeds, {.dtype = DType::f16});
}

TEST(ConvolutionSums, ABlockIsWhatItWasWithoutThem) {
  ATHANOR_SKIP_WITHOUT_DEVICE();
  for (const bool has_residual : {false, true}) {
    for (const std::int64_t stride : {1, 2}) {
      WatchedDevice with(true), without(false);
      const std::vector<Tensor> got = run_block(has_residual, stride, with),
                                want = run_block(has_residual, stride, without);
      check_test_device();
      EXPECT_GT(with.summing(), 0);
      EXPECT_EQ(without.summing(), 0);
      ASSERT_EQ(got.size(), want.size());
      for (std::size_t i = 0; i < want.size(); ++i) {
        double largest = 0;
        for (const double value : want[i].values) largest = std::max(largest, std::abs(value));
        // The sums may be of numbers that are not rounded to float16 yet: those average out in statistics, and what is
        // made with them may round to the neighbour.
        const double tolerance = (i >= 1 && i <= 4 ? 0x1p-12 : 0x1p-9) * largest;
        for (std::int64_t e = 0; e < want[i].elements(); ++e) {
          ASSERT_NEAR(got[i][e], want[i][e], tolerance) << "value " << i << ", element " << e;
        }
      }
    }
  }
}

std::int64_t summing_convolutions(const Graph& graph) {
  std::int64_t count = 0;
  for (const Node& node : graph.nodes) {
    if (node.op->name == "conv2d" && node.attributes.flag("statistics")) {
      ++count;
      EXPECT_EQ(node.outputs.size(), 3u) << node.layer;
    }
    if (node.op->name != "batch_norm") continue;
    const Node& source = graph.node(graph.value(node.inputs[0]).producer);
    EXPECT_EQ(node.inputs.size(), source.attributes.flag("statistics") ? 6u : 4u) << node.layer;
    if (node.inputs.size() > 4) {
      EXPECT_EQ(node.inputs[4], source.outputs[1]);
      EXPECT_EQ(node.inputs[5], source.outputs[2]);
    }
  }
  return count;
}

Graph resnet20(DType type) {
  GraphOptions options = graph_test::cifar(4);
  options.compute_dtype = type;
  return training_graph(graph_test::cifar_resnet(20), options);
}

double flops_of_graph(const Graph& graph) {
  double sum = 0;
  for (const Node& node : graph.nodes) sum += node.op->flops ? node.op->flops(graph, node) : 0;
  return sum;
}

TEST(ConvolutionSums, EveryConvolutionOfAResidualNetworkInFloat16) {
  EmulatedDevice device;
  cuda::EngineChoice engines(device, "");
  const Graph before = resnet20(DType::f16), after = summed(before, engines);
  EXPECT_EQ(summing_convolutions(after), graph_test::count(before, "batch_norm"));
  EXPECT_TRUE(graph_test::is_ordered(after));
  EXPECT_EQ(flops_of_graph(after), flops_of_graph(before));
  for (const DType type : {DType::f32, DType::bf16}) {
    EXPECT_EQ(summing_convolutions(summed(resnet20(type), engines)), 0) << name_of(type);
  }
}

TEST(ConvolutionSums, OnlyWhereTheyCostLessThanTheNormsOwnPass) {
  EmulatedDevice device;
  Network n;
  n.batch_norm(n.conv(n.image({8, 16, 32, 32}), 64, 3, 1));
  const cuda::ConvolutionSpec plain{.type = DType::f16,
                                    .batch = 8,
                                    .channels = 16,
                                    .height = 32,
                                    .width = 32,
                                    .out_channels = 64,
                                    .out_height = 32,
                                    .out_width = 32,
                                    .kernel = {3, 3},
                                    .pad_begin = {1, 1},
                                    .pad_end = {1, 1}};
  cuda::ConvolutionSpec summing = plain;
  summing.statistics = true;
  const auto summing_with = [&](double plain_s, double summing_s) {
    cuda::EngineChoice engines(device, "");
    // Without choices the text is its first line.
    engines.take(fmt::format("{}{}\treference\t0\t{:.9f}\n{}\treference\t0\t{:.9f}\n", engines.text(),
                             cuda::text_of(plain), plain_s, cuda::text_of(summing), summing_s));
    return summing_convolutions(summed(n.graph, engines));
  };
  // A pass over these 1 MB takes 2.3 µs.
  EXPECT_EQ(summing_with(20e-6, 18e-6), 1);
  EXPECT_EQ(summing_with(20e-6, 22e-6), 1);
  EXPECT_EQ(summing_with(20e-6, 23e-6), 0);
  EXPECT_EQ(summing_with(0, 23e-6), 1) << "not timed";
}

}  // namespace
}  // namespace athanor::testing
