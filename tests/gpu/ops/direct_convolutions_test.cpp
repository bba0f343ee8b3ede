// conv2d by our own engine for few channels: through plans and steps, and which products it is for.
#include "backend/cuda/direct_convolutions.h"

#include <gtest/gtest.h>

#include "backend/cuda/engine_choice.h"
#include "gpu/support/cuda_runner.h"
#include "gpu/support/direct_device.h"
#include "gpu/support/test_device.h"
#include "support/op_checks.h"

namespace athanor::testing {
namespace {

reference::Case convolution(std::int64_t batch, std::int64_t in, std::int64_t height, std::int64_t width,
                            std::int64_t out, std::int64_t stride, RandomStream& stream) {
  reference::Case drawn;
  drawn.attributes.set("stride", std::vector<std::int64_t>{stride, stride});
  drawn.attributes.set("padding", std::vector<std::int64_t>{1, 1});
  drawn.inputs = {reference::uniform_tensor({batch, in, height, width}, stream),
                  reference::uniform_tensor({out, in, 3, 3}, stream)};
  return drawn;
}

struct Shape4 {
  std::int64_t batch, in, height, width, out, stride;
  int forward, gradient;  ///< products that our engine runs
};

TEST(DirectConvolutions, EqualTheReferenceThroughAPlan) {
  ATHANOR_SKIP_WITHOUT_DEVICE();
  std::atomic<int> runs = 0;
  DirectDevice device(test_device(), runs);
  cuda::EngineChoice engines(device, "");
  RandomStream stream{31, Purpose::test, 0, 0};
  for (const DType dtype : {DType::bf16, DType::f16}) {
    const RunOptions options{.dtype = dtype,
                             .runner = [&](const Graph& graph, const Feeds& feeds, const RunOptions& run) {
                               return run_graph_on(device, engines, graph, feeds, run);
                             }};
    for (const Shape4& s :
         {Shape4{3, 16, 9, 7, 16, 1, 1, 2}, Shape4{2, 32, 5, 11, 32, 1, 1, 2}, Shape4{1, 64, 8, 8, 64, 1, 1, 2},
          Shape4{4, 3, 6, 10, 16, 1, 1, 1}, Shape4{3, 16, 9, 8, 32, 2, 1, 2}, Shape4{2, 32, 6, 7, 64, 2, 1, 2}}) {
      const reference::Case drawn = convolution(s.batch, s.in, s.height, s.width, s.out, s.stride, stream);
      const int before = runs;
      check_forward("conv2d", drawn, options);
      EXPECT_EQ(runs - before, s.forward) << s.in;
      check_gradient("conv2d", drawn, stream, options);
      EXPECT_EQ(runs - before, s.forward + s.gradient) << s.in;
    }
  }
  check_test_device();
}

TEST(DirectConvolutions, FitWhatTheirKernelsKnow) {
  const cuda::ConvolutionSpec known{.type = DType::f16,
                                    .gradient = DType::f16,
                                    .batch = 2,
                                    .channels = 16,
                                    .height = 5,
                                    .width = 256,
                                    .out_channels = 16,
                                    .out_height = 5,
                                    .out_width = 256,
                                    .kernel = {3, 3},
                                    .pad_begin = {1, 1},
                                    .pad_end = {1, 1}};
  EXPECT_TRUE(cuda::fits_direct_engine(known));
  const auto fits = [&](auto change) {
    cuda::ConvolutionSpec spec = known;
    change(spec);
    return cuda::fits_direct_engine(spec);
  };
  using Spec = cuda::ConvolutionSpec;
  EXPECT_FALSE(fits([](Spec& s) { s.type = s.gradient = DType::f32; }));
  EXPECT_FALSE(fits([](Spec& s) { s.bias = true; }));
  EXPECT_FALSE(fits([](Spec& s) { s.relu = true; }));
  EXPECT_FALSE(fits([](Spec& s) { s.statistics = true; }));
  EXPECT_FALSE(fits([](Spec& s) { s.width = s.out_width = 257; }));
  EXPECT_FALSE(fits([](Spec& s) { s.pad_begin = {0, 1}; }));
  EXPECT_FALSE(fits([](Spec& s) { s.dilation = {1, 2}; }));
  EXPECT_FALSE(fits([](Spec& s) { s.groups = 2; }));
  EXPECT_TRUE(fits([](Spec& s) { s.channels = 4; }));
  EXPECT_FALSE(fits([](Spec& s) { s.channels = s.out_channels = 128; }));
  EXPECT_FALSE(fits([](Spec& s) { s.stride = {2, 2}; }));
  EXPECT_FALSE(fits([](Spec& s) {
    s.channels = 4;
    s.direction = cuda::Direction::backward_data;
  }));
  EXPECT_FALSE(cuda::fits_direct_engine(cuda::MatmulSpec{.m = 16, .n = 16, .k = 16, .type = DType::f16}));
}

}  // namespace
}  // namespace athanor::testing
