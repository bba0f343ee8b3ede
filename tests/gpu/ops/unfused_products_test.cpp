// conv2d and linear where the libraries take neither bias nor ReLU along: the product alone, and a pass of our own.
#include <gtest/gtest.h>

#include "backend/cuda/engine_choice.h"
#include "base/error.h"
#include "gpu/support/cuda_runner.h"
#include "gpu/support/forwarding_device.h"
#include "gpu/support/test_device.h"
#include "support/op_checks.h"

namespace athanor::testing {
namespace {

bool is_fused(const cuda::ProductSpec& spec) {
  if (const auto* conv = std::get_if<cuda::ConvolutionSpec>(&spec)) return conv->bias || conv->relu;
  return std::get<cuda::MatmulSpec>(spec).epilogue != cuda::Epilogue::none;
}

/// Has no engine for a fused product, or none at all.
class PlainDevice : public ForwardingDevice {
 public:
  PlainDevice(cuda::Device& device, bool has_products) : ForwardingDevice(device), has_products_(has_products) {}

  std::vector<std::string> engines(const cuda::ProductSpec& spec) override {
    refused_ = refused_ || is_fused(spec);
    if (is_fused(spec) || !has_products_) return {};
    return ForwardingDevice::engines(spec);
  }
  bool has_refused() const { return refused_; }

 private:
  bool has_products_, refused_ = false;
};

/// In float32: 16-bit types round once more on this way, which the bounds of these checks leave no room for.
TEST(Products, EqualTheReferenceWhereNothingIsFused) {
  ATHANOR_SKIP_WITHOUT_DEVICE();
  PlainDevice device(test_device(), true);
  cuda::EngineChoice engines(device, "");
  const auto options = [&](int, DType dtype) {
    return RunOptions{.dtype = dtype, .runner = [&](const Graph& graph, const Feeds& feeds, const RunOptions& run) {
                        return run_graph_on(device, engines, graph, feeds, run);
                      }};
  };
  for (const char* op : {"conv2d", "linear"}) check_forward(op, DType::f32, 16, options);
  EXPECT_TRUE(device.has_refused()) << "no case wanted a bias or a ReLU";
  check_test_device();
}

TEST(Products, NameTheLayerThatNoEngineRuns) {
  ATHANOR_SKIP_WITHOUT_DEVICE();
  PlainDevice device(test_device(), false);
  cuda::EngineChoice engines(device, "");
  const auto options = [&](int, DType dtype) {
    return RunOptions{.dtype = dtype, .runner = [&](const Graph& graph, const Feeds& feeds, const RunOptions& run) {
                        return run_graph_on(device, engines, graph, feeds, run);
                      }};
  };
  try {
    check_forward("conv2d", DType::f32, 1, options);
    FAIL() << "a convolution ran without an engine";
  } catch (const DeviceError& error) {
    EXPECT_NE(std::string(error.what()).find("cuDNN has no engine for conv forward"), std::string::npos)
        << error.what();
  }
}

}  // namespace
}  // namespace athanor::testing
