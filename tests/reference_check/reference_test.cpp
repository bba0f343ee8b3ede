// What finite differences cannot see: backward ops as nodes of their own, ties, masks, and the bounds.
#include "reference/reference.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

namespace athanor::reference {
namespace {

void expect_near(const Result& got, const Result& want, double fraction) {
  ASSERT_EQ(got.value.shape, want.value.shape);
  for (std::int64_t e = 0; e < want.value.elements(); ++e) {
    ASSERT_NEAR(got.value[e], want.value[e], fraction * want.bound[e]) << "element " << e;
  }
}

/// dy of y's shape, drawn from a stream of its own.
Tensor gradient_like(const Tensor& y, int i) {
  RandomStream stream(12, Purpose::test, static_cast<std::uint64_t>(i), 0);
  return uniform_tensor(y.shape, stream);
}

Case draw(const std::string& name, int i) {
  RandomStream stream(13, Purpose::test, static_cast<std::uint64_t>(i), key_of(name));
  return random_case(name, stream);
}

TEST(Reference, EveryOpHasFiniteValuesAndBoundsOfTheRightShape) {
  std::set<std::string> names;
  for (const ReferenceOp& op : reference_ops()) {
    EXPECT_TRUE(names.insert(op.name).second) << op.name << " is there twice";
    for (int i = 0; i < 8; ++i) {
      const Case drawn = draw(op.name, i);
      for (const Result& output : op.forward(drawn.inputs, drawn.attributes)) {
        ASSERT_EQ(output.bound.shape, output.value.shape) << op.name;
        ASSERT_EQ(output.value.elements(), product(output.value.shape)) << op.name;
        for (std::int64_t e = 0; e < output.value.elements(); ++e) {
          ASSERT_TRUE(std::isfinite(output.value[e]) && std::isfinite(output.bound[e])) << op.name;
          ASSERT_GE(output.bound[e], 0.0) << op.name;
        }
      }
    }
  }
}

TEST(Reference, BoundOfASumIsRootLengthTimesNormOfItsTerms) {
  const Tensor x({1, 3}, {1, 2, -3}), weight({1, 3}, {4, 5, 6});
  const Result y = find_reference("linear")->forward({x, weight}, {})[0];
  EXPECT_EQ(y.value[0], 4 + 10 - 18);
  EXPECT_DOUBLE_EQ(y.bound[0], std::sqrt(3.0 * (16 + 100 + 324)));
}

TEST(Reference, Float32SumsStayWithinTheBound) {
  for (int i = 0; i < 20; ++i) {
    const Case drawn = draw("batch_norm_inference", i);
    const Result want = find_reference("batch_norm_inference")->forward(drawn.inputs, drawn.attributes)[0];
    const std::int64_t pixels = want.value.shape[2] * want.value.shape[3], channels = want.value.shape[1];
    for (std::int64_t e = 0; e < want.value.elements(); ++e) {
      const std::int64_t c = e / pixels % channels;
      const auto at = [&](std::size_t input, std::int64_t j) { return static_cast<float>(drawn.inputs[input][j]); };
      const float inv_std = 1.0f / std::sqrt(at(4, c) + 1e-5f);
      const float y = at(1, c) * inv_std * (at(0, e) - at(3, c)) + at(2, c);
      ASSERT_NEAR(y, want.value[e], kErrorUnit * want.bound[e]);
    }
  }
}

TEST(Reference, ConvolutionBackwardOpsAgreeWithTheBackward) {
  const ReferenceOp& conv = *find_reference("conv2d");
  for (int i = 0; i < 20; ++i) {
    SCOPED_TRACE(i);
    Case drawn = draw("conv2d", i);
    drawn.attributes.set("activation", std::string("none"));
    const Tensor dy = gradient_like(conv.forward(drawn.inputs, drawn.attributes)[0].value, i);
    const auto want = conv.backward(drawn.inputs, dy, drawn.attributes);
    const Extents &x = drawn.inputs[0].shape, &weight = drawn.inputs[1].shape;
    Attributes attributes = drawn.attributes;
    attributes.set("input_size", Extents{x[2], x[3]});
    attributes.set("kernel", Extents{weight[2], weight[3]});
    attributes.set("bias", drawn.inputs.size() > 2);
    expect_near(find_reference("conv2d_backward_data")->forward({dy, drawn.inputs[1]}, attributes)[0], *want[0], 1e-14);
    const auto weights = find_reference("conv2d_backward_weights")->forward({drawn.inputs[0], dy}, attributes);
    ASSERT_EQ(weights.size() + 1, want.size());
    for (std::size_t j = 0; j < weights.size(); ++j) expect_near(weights[j], *want[j + 1], 1e-14);
  }
}

TEST(Reference, BatchNormBackwardOpAgreesWithTheBackward) {
  const ReferenceOp& batch_norm = *find_reference("batch_norm");
  for (int i = 0; i < 20; ++i) {
    SCOPED_TRACE(i);
    const Case drawn = draw("batch_norm", i);
    const auto outputs = batch_norm.forward(drawn.inputs, drawn.attributes);
    const Tensor dy = gradient_like(outputs[0].value, i);
    const auto want = batch_norm.backward(drawn.inputs, dy, drawn.attributes);
    std::vector<Tensor> inputs = {
        dy, drawn.inputs[0], drawn.inputs[1], drawn.inputs[2], outputs[1].value, outputs[2].value};
    if (drawn.inputs.size() > 3) inputs.push_back(outputs[0].value);
    const auto got = find_reference("batch_norm_backward")->forward(inputs, drawn.attributes);
    ASSERT_EQ(got.size(), want.size());
    for (std::size_t j = 0; j < got.size(); ++j) expect_near(got[j], *want[j], 1e-13);
  }
}

TEST(Reference, ActivationBackwardOpsAgreeWithTheBackward) {
  for (const std::string name : {"relu", "leaky_relu", "sigmoid", "tanh", "gelu", "silu"}) {
    SCOPED_TRACE(name);
    const ReferenceOp& op = *find_reference(name);
    const bool saves_output = name == "relu" || name == "sigmoid" || name == "tanh";
    for (int i = 0; i < 8; ++i) {
      const Case drawn = draw(name, i);
      const Tensor y = op.forward(drawn.inputs, drawn.attributes)[0].value, dy = gradient_like(y, i);
      const Tensor& saved = saves_output ? y : drawn.inputs[0];
      const auto got = find_reference(name + "_backward")->forward({dy, saved}, drawn.attributes);
      expect_near(got[0], *op.backward(drawn.inputs, dy, drawn.attributes)[0], 1e-12);
    }
  }
}

TEST(Reference, MaxPoolTakesTheFirstOfEqualsAndPassesNanOn) {
  const ReferenceOp& op = *find_reference("max_pool2d");
  const Attributes attributes = {{"kernel", Extents{2, 2}}, {"stride", Extents{2, 2}}, {"padding", Extents{0, 0}}};
  const Tensor ties({1, 1, 2, 4}, {5, 5, 1, 2, 5, 5, 2, 2});
  EXPECT_EQ(op.forward({ties}, attributes)[1].value.values, (std::vector<double>{0, 3}));
  const Tensor dy({1, 1, 1, 2}, {10, 20});
  EXPECT_EQ(op.backward({ties}, dy, attributes)[0]->value.values, (std::vector<double>{10, 0, 0, 20, 0, 0, 0, 0}));
  const Tensor bad({1, 1, 2, 2}, {1, std::nan(""), 9, 3});
  EXPECT_TRUE(std::isnan(op.forward({bad}, attributes)[0].value[0]));
}

TEST(Reference, MaskedSamplesHaveNoLossAndNoGradient) {
  const ReferenceOp& op = *find_reference("cross_entropy");
  const Tensor both({2, 3}, {1, 2, 3, -1, 0.5, 2}), first({1, 3}, {1, 2, 3});
  const auto masked = op.forward({both, Tensor({2}, {0, -1})}, {});
  EXPECT_DOUBLE_EQ(masked[0].value[0], op.forward({first, Tensor({1}, {0})}, {})[0].value[0]);
  EXPECT_EQ(masked[1].value[1], 0.0);
  const Tensor gradient = op.backward({both, Tensor({2}, {0, -1})}, Tensor({1}, {1}), {})[0]->value;
  EXPECT_EQ(gradient[3], 0.0);
  EXPECT_EQ(op.forward({both, Tensor({2}, {-1, -1})}, {})[0].value[0], 0.0);
}

TEST(Reference, DropoutKeepsTheRightShareAndDependsOnTheSampleNotItsPlace) {
  const ReferenceOp& op = *find_reference("dropout");
  const Attributes attributes = {{"rate", 0.25}, {"key", std::int64_t{99}}, {"seed", std::int64_t{5}}};
  Tensor x({2, 1, 64, 64});
  for (double& value : x.values) value = 1.0;
  const Tensor y = op.forward({x, Tensor({2}, {17, 4}), Tensor({1}, {3})}, attributes)[0].value;
  const Tensor swapped = op.forward({x, Tensor({2}, {4, 17}), Tensor({1}, {3})}, attributes)[0].value;
  double kept = 0;
  for (std::int64_t e = 0; e < 4096; ++e) {
    EXPECT_EQ(y[e], swapped[4096 + e]);
    kept += y[e] != 0.0;
  }
  EXPECT_NEAR(kept / 4096, 0.75, 5 * std::sqrt(0.25 * 0.75 / 4096));
}

}  // namespace
}  // namespace athanor::reference
