// An evaluation graph whose batch norms went into its convolutions computes what it computed before.
#include <gtest/gtest.h>

#include <cmath>

#include "graph/builder.h"
#include "graph/passes/fusion.h"
#include "support/op_runner.h"

namespace athanor::testing {
namespace {

using reference::Tensor;

struct NormedWindow {
  std::int64_t channels, kernel, stride, groups;
};

/// conv → batch norm (+ residual) (→ ReLU) on images [2, 32, 9, 7], with every operand an input.
struct NormedConvolution {
  Graph graph;
  Builder builder{graph};
  Feeds feeds;
  RandomStream stream{37, Purpose::test, 0, 0};
  ValueId z = kNoValue;

  ValueId feed(const Shape& shape, float low = -1.0f, float high = 1.0f) {
    const reference::Extents extents(shape.extents().begin(), shape.extents().end());
    const ValueId value = builder.input(fmt::format("in{}", feeds.size()), shape, DType::f32);
    feeds.emplace_back(value, reference::uniform_tensor(extents, stream, low, high));
    return value;
  }
  ValueId compute(ValueId value, DType dtype) {
    return dtype == DType::f32 ? value : builder.add1("cast", {value}, {{"dtype", std::string(name_of(dtype))}});
  }

  ValueId build(const NormedWindow& window, bool has_bias, bool has_residual, bool has_relu, DType dtype) {
    using List = std::vector<std::int64_t>;
    const Shape channels{window.channels};
    const ValueId x = compute(feed({2, 32, 9, 7}), dtype);
    const ValueId weight = feed({window.channels, 32 / window.groups, window.kernel, window.kernel});
    z = builder.add1("conv2d", {x, compute(weight, dtype), has_bias ? feed(channels) : kNoValue},
                     {{"stride", List{window.stride, window.stride}},
                      {"padding", List{window.kernel / 2, window.kernel / 2}},
                      {"dilation", List{1, 1}},
                      {"groups", window.groups}});
    const ValueId gamma = feed(channels, -1.5f, 1.5f), beta = feed(channels), mean = feed(channels);
    ValueId y = builder.add1("batch_norm_inference", {z, gamma, beta, mean, feed(channels, 0.25f, 2.0f), kNoValue},
                             {{"eps", 1e-5}, {"momentum", 0.1}});
    if (has_residual) y = builder.add1("add", {y, compute(feed(builder.shape(y)), dtype)});
    if (has_relu) y = builder.add1("relu", {y});
    return dtype == DType::f32 ? y : builder.add1("cast", {y}, {{"dtype", std::string(name_of(DType::f32))}});
  }
};

/// A convolution whose output the caller wants too is not folded: that is what the folded one is compared with.
/// float32: both round each weight and sums of at most 32 · 9 products; 2⁻¹⁹ of the largest element is 32 units in its
/// last place. bfloat16: the folded weights are rounded anew, by up to 2⁻⁹ of each of 288 products, and the unfolded
/// output once more before the norm: a few units of 2⁻⁸.
void expect_folded_is_unfolded(const NormedWindow& window, DType dtype, int threads) {
  for (const int variant : {0, 1, 2, 3, 4, 5}) {
    const bool has_bias = variant % 2 == 1, has_residual = variant / 2 == 1, has_relu = variant / 2 >= 1;
    SCOPED_TRACE(fmt::format("{} channels, kernel {}, groups {}, variant {}", window.channels, window.kernel,
                             window.groups, variant));
    NormedConvolution network;
    const ValueId y = network.build(window, has_bias, has_residual, has_relu, dtype);
    const RunOptions options{.dtype = dtype, .threads = threads, .layout = kPlain, .seed = 0};
    network.graph.outputs = {y};
    const Tensor folded = run_graph(fuse(network.graph), network.feeds, options)[0];
    ValueId watched = network.z;
    if (dtype != DType::f32) {
      watched = network.builder.add1("cast", {watched}, {{"dtype", std::string(name_of(DType::f32))}});
    }
    network.graph.outputs = {y, watched};
    const Tensor unfolded = run_graph(fuse(network.graph), network.feeds, options)[0];
    double largest = 0;
    for (const double value : unfolded.values) largest = std::max(largest, std::abs(value));
    const double bound = (dtype == DType::f32 ? 0x1p-19 : 0x1p-6) * largest;
    EXPECT_GT(largest, 0);
    for (std::int64_t e = 0; e < folded.elements(); ++e) ASSERT_NEAR(folded[e], unfolded[e], bound) << e;
  }
}

constexpr NormedWindow kNormedWindows[] = {{16, 3, 1, 1}, {64, 1, 1, 1}, {48, 1, 2, 1},
                                           {20, 3, 2, 1}, {64, 3, 1, 4}, {32, 3, 1, 32}};

/// Weights lie as the convolution wants them; the fold follows, and rounds the same everywhere.
TEST(FoldBatchNorm, FindsTheChannelsOfEveryLayout) {
  RandomStream stream(41, Purpose::test, 0, 0);
  OpCall call = op_call("fold_batch_norm", reference::random_case("fold_batch_norm", stream));
  call.inputs = {reference::uniform_tensor({48, 32, 3, 2}, stream)};
  for (int i = 0; i < 4; ++i) call.inputs.emplace_back(reference::uniform_tensor({48}, stream, 0.5f, 1.5f));
  const std::vector<Tensor> plain = run_op(call);
  for (const char* layout :
       {"nhwc", "nChw16c", "hwio", "ohwi", "Ohwi16o", "OIhw16i16o", "OIhw16o16i", "OIhw8i8o", "OIhw8i16o2i"}) {
    const std::vector<Tensor> blocked =
        run_op(call, {.dtype = DType::f32, .threads = 2, .layout = layout, .seed = 0, .runner = {}});
    EXPECT_EQ(blocked[0].values, plain[0].values) << layout;
    EXPECT_EQ(blocked[1].values, plain[1].values) << layout;
  }
}

TEST(FoldBatchNorm, GivesWhatConvolutionAndNormGive) {
  for (const NormedWindow& window : kNormedWindows) {
    for (const int threads : {1, 2}) expect_folded_is_unfolded(window, DType::f32, threads);
  }
}

TEST(FoldBatchNorm, GivesWhatTheyGiveIn16Bits) {
  for (const NormedWindow& window : kNormedWindows) expect_folded_is_unfolded(window, DType::bf16, 1);
}

}  // namespace
}  // namespace athanor::testing
