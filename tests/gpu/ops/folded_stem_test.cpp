// Convolutions with a stride of 2 over few channels, which run folded: the layouts alone, against plain loops, and the
// op against the double-precision reference.
#include <gtest/gtest.h>

#include <array>
#include <set>

#include "backend/cuda/layouts.h"
#include "backend/cuda/ops/convolution_layouts.h"
#include "gpu/support/cuda_runner.h"
#include "gpu/support/forwarding_device.h"
#include "gpu/support/test_device.h"
#include "graph/builder.h"
#include "support/op_checks.h"

namespace athanor::testing {
namespace {

using cuda::order_of;
using kernels::cuda::ChannelOrder;

Value value_of(Shape shape) {
  Value value;
  value.shape = std::move(shape);
  return value;
}

TEST(Layouts, PadAndFold) {
  const Value image = value_of({2, 3, 224, 224}), weight = value_of({64, 3, 7, 7});
  EXPECT_EQ(cuda::stored_elements(image, kPlain), 2 * 3 * 224 * 224);
  EXPECT_EQ(cuda::stored_elements(image, "nhwc"), 2 * 3 * 224 * 224);
  EXPECT_EQ(cuda::stored_elements(image, "nhwc4"), 2 * 4 * 224 * 224);
  EXPECT_EQ(cuda::stored_elements(image, "fold2_k7"), 2 * 16 * 115 * 115);
  EXPECT_EQ(cuda::stored_elements(weight, "ohwi8"), 64 * 8 * 7 * 7);
  EXPECT_EQ(cuda::stored_elements(weight, "ohwi_fold2"), 64 * 16 * 4 * 4);
  EXPECT_EQ(cuda::stored_elements(value_of({2, 5}), "nhwc4"), 10);
  EXPECT_EQ(order_of({2, 1, 8, 8}, "fold2_k3").channels, 8);
  for (const char* padded : {"nhwc4", "nhwc8", "ohwi4", "ohwi8", "fold2_k5", "ohwi_fold2"}) {
    EXPECT_TRUE(cuda::is_padded(padded)) << padded;
  }
  for (const char* dense : {"plain", "nhwc", "ohwi", ""}) EXPECT_FALSE(cuda::is_padded(dense)) << dense;
}

/// Where pixel or tap (y, x) of one channel lies in [height, width, fold · fold].
std::size_t place_of(const ChannelOrder& order, std::int64_t y, std::int64_t x) {
  y += order.front;
  x += order.front;
  return static_cast<std::size_t>(((y / 2) * order.width + x / 2) * 4 + y % 2 * 2 + x % 2);
}

/// Of one channel, with whole numbers: products of the two folded layouts are those of the window.
TEST(Layouts, FoldedWindowsAreTheSameConvolution) {
  const std::int64_t height = 10, width = 8;
  for (const std::int64_t k : {3, 5, 7, 9}) {
    const ChannelOrder images = order_of({1, 1, height, width}, cuda::folded_images(k));
    const ChannelOrder weights = order_of({1, 1, k, k}, cuda::kFoldedWeights);
    const auto x = [](std::int64_t i, std::int64_t j) { return 1 + i * 31 + j * 7 % 5; };
    const auto w = [](std::int64_t a, std::int64_t b) { return 1 + a * 13 + b * 5 % 7; };
    std::vector<std::int64_t> folded_x(static_cast<std::size_t>(images.height * images.width * 4));
    std::vector<std::int64_t> folded_w(static_cast<std::size_t>(weights.height * weights.width * 4));
    for (std::int64_t i = 0; i < height; ++i)
      for (std::int64_t j = 0; j < width; ++j) folded_x[place_of(images, i, j)] = x(i, j);
    for (std::int64_t a = 0; a < k; ++a)
      for (std::int64_t b = 0; b < k; ++b) folded_w[place_of(weights, a, b)] = w(a, b);
    ASSERT_EQ(images.height - weights.height + 1, height / 2) << k;
    ASSERT_EQ(images.width - weights.width + 1, width / 2) << k;
    for (std::int64_t oy = 0; oy < height / 2; ++oy)
      for (std::int64_t ox = 0; ox < width / 2; ++ox) {
        std::int64_t want = 0, got = 0;
        for (std::int64_t a = 0; a < k; ++a)
          for (std::int64_t b = 0; b < k; ++b) {
            const std::int64_t i = 2 * oy + a - (k - 1) / 2, j = 2 * ox + b - (k - 1) / 2;
            if (i >= 0 && i < height && j >= 0 && j < width) want += w(a, b) * x(i, j);
          }
        for (std::int64_t a = 0; a < weights.height; ++a)
          for (std::int64_t b = 0; b < weights.width; ++b)
            for (std::int64_t part = 0; part < 4; ++part) {
              got += folded_w[static_cast<std::size_t>((a * weights.width + b) * 4 + part)] *
                     folded_x[static_cast<std::size_t>(((oy + a) * images.width + ox + b) * 4 + part)];
            }
        ASSERT_EQ(got, want) << "window " << k << " at " << oy << ", " << ox;
      }
  }
}

/// Which kernels the convolutions had that it was asked for.
class Listener : public ForwardingDevice {
 public:
  using ForwardingDevice::ForwardingDevice;
  std::vector<std::string> engines(const cuda::ProductSpec& spec) override {
    const auto& conv = std::get<cuda::ConvolutionSpec>(spec);
    windows_.insert({conv.kernel[0], conv.stride[0], conv.channels});
    return ForwardingDevice::engines(spec);
  }
  /// {window, stride, channels}
  const std::set<std::array<std::int64_t, 3>>& windows() const { return windows_; }

 private:
  std::set<std::array<std::int64_t, 3>> windows_;
};

using Windows = std::set<std::array<std::int64_t, 3>>;

reference::Case stem(std::int64_t channels, std::int64_t k, std::int64_t height, bool bias, RandomStream& stream) {
  reference::Case drawn;
  const std::int64_t padding = (k - 1) / 2;
  drawn.attributes = {{"stride", std::vector<std::int64_t>{2, 2}}, {"padding", std::vector{padding, padding}}};
  drawn.inputs = {reference::uniform_tensor({2, channels, height, 8}, stream),
                  reference::uniform_tensor({5, channels, k, k}, stream)};
  if (bias) drawn.inputs.push_back(reference::uniform_tensor({5}, stream));
  return drawn;
}

/// The windows that were asked for while the op and its gradients were checked in every type.
Windows check_stem(std::int64_t channels, std::int64_t k, std::int64_t height, bool bias) {
  RandomStream stream(31, Purpose::test, static_cast<std::uint64_t>(k), static_cast<std::uint64_t>(channels));
  const reference::Case drawn = stem(channels, k, height, bias, stream);
  Listener device(test_device());
  cuda::EngineChoice engines(device, "");
  for (const DType dtype : {DType::f32, DType::bf16, DType::f16}) {
    const RunOptions options{.dtype = dtype,
                             .runner = [&](const Graph& graph, const Feeds& feeds, const RunOptions& run) {
                               return run_graph_on(device, engines, graph, feeds, run);
                             }};
    check_forward("conv2d", drawn, options);
    check_gradient("conv2d", drawn, stream, options);
  }
  check_test_device();
  return device.windows();
}

TEST(FoldedStem, EqualsTheReference) {
  ATHANOR_SKIP_WITHOUT_DEVICE();
  // The gradient of the image, which a network's first layer has none of, has the window as it is.
  EXPECT_EQ(check_stem(3, 7, 12, false), (Windows{{4, 1, 16}, {7, 2, 3}}));
  EXPECT_EQ(check_stem(1, 5, 6, true), (Windows{{3, 1, 8}, {5, 2, 1}}));
  EXPECT_EQ(check_stem(4, 3, 6, true), (Windows{{2, 1, 16}, {3, 2, 4}}));
}

TEST(FoldedStem, IsOnlyForEvenImagesOfFewChannels) {
  ATHANOR_SKIP_WITHOUT_DEVICE();
  EXPECT_EQ(check_stem(3, 7, 11, false), (Windows{{7, 2, 3}, {7, 2, 4}}));
  EXPECT_EQ(check_stem(5, 3, 6, false), (Windows{{3, 2, 5}}));
}

/// A graph of an image and its readers.
class ReadersOfTheImage : public ::testing::Test {
 protected:
  ValueId conv(ValueId x, std::int64_t k, std::int64_t stride, std::int64_t groups = 1) {
    const ValueId weight = builder_.parameter(fmt::format("w{}", ++count_), {6, 3 / groups, k, k}, Initializer{});
    return builder_.add1("conv2d", {x, weight, kNoValue},
                         {{"stride", std::vector{stride}}, {"padding", std::vector{(k - 1) / 2}}, {"groups", groups}});
  }
  Layout layout() const { return cuda::ops::input_layout(graph_, image_); }

  Graph graph_;
  Builder builder_{graph_};
  ValueId image_ = builder_.input("images", {2, 3, 32, 32}, DType::f32);
  int count_ = 0;
};

TEST_F(ReadersOfTheImage, AgreeOnItsLayout) {
  EXPECT_EQ(layout(), "nhwc4");
  conv(image_, 7, 2);
  EXPECT_EQ(layout(), "fold2_k7");
  conv(image_, 7, 2);
  EXPECT_EQ(layout(), "fold2_k7");
  conv(image_, 5, 2);
  EXPECT_EQ(layout(), "nhwc4");
}

TEST_F(ReadersOfTheImage, GetNoFoldsAtAStrideOfOne) {
  conv(image_, 3, 1);
  EXPECT_EQ(layout(), "nhwc4");
}

TEST_F(ReadersOfTheImage, GetNoFoldsNextToAnotherOp) {
  conv(image_, 3, 2);
  builder_.add1("global_avg_pool", {image_}, {});
  EXPECT_EQ(layout(), "nhwc4");
}

TEST_F(ReadersOfTheImage, GetNoPaddingInGroups) {
  conv(image_, 3, 2, 3);
  EXPECT_EQ(layout(), "nhwc");
}

}  // namespace
}  // namespace athanor::testing
