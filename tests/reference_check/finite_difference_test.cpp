// The reference's own gradients against central finite differences of its forward, so that an error in the mathematics
// cannot hide behind an equal error in a backend.
#include <gtest/gtest.h>

#include <cmath>

#include "reference/reference.h"

namespace athanor::reference {
namespace {

constexpr int kCasesPerOp = 24;
constexpr int kElementsPerInput = 3;
constexpr double kStep = 1e-6;
// Of the size of the gradient's terms (the third derivative leaves 1e-12 of it), and of a thousandth of the loss's
// terms (their rounding, 1e-16, is divided by 2e-6).
constexpr double kTolerance = 1e-6;

double weighted_loss(const ReferenceOp& op, const Case& at, const Tensor& weights) {
  const Tensor y = op.forward(at.inputs, at.attributes)[0].value;
  double loss = 0;
  for (std::int64_t e = 0; e < y.elements(); ++e) loss += y[e] * weights[e];
  return loss;
}

/// The derivative of the loss as input `input` moves along `direction`.
double numeric_slope(const ReferenceOp& op, const Case& at, const Tensor& weights, std::size_t input,
                     const Tensor& direction) {
  Case ahead = at, behind = at;
  for (std::int64_t e = 0; e < direction.elements(); ++e) {
    ahead.inputs[input][e] += kStep * direction[e];
    behind.inputs[input][e] -= kStep * direction[e];
  }
  return (weighted_loss(op, ahead, weights) - weighted_loss(op, behind, weights)) / (2 * kStep);
}

void check_direction(const ReferenceOp& op, const Case& at, const Tensor& weights, std::size_t input,
                     const Result& gradient, const Tensor& direction) {
  const Tensor y = op.forward(at.inputs, at.attributes)[0].value;
  double size_of_terms = 0;
  for (std::int64_t e = 0; e < y.elements(); ++e) size_of_terms += std::abs(y[e] * weights[e]);
  double slope = 0, scale = 1e-3 * (1.0 + size_of_terms);
  for (std::int64_t e = 0; e < direction.elements(); ++e) {
    slope += gradient.value[e] * direction[e];
    scale += gradient.bound[e] * std::abs(direction[e]);
  }
  EXPECT_NEAR(slope, numeric_slope(op, at, weights, input, direction), kTolerance * scale)
      << op.name << ", input " << input;
}

class FiniteDifference : public ::testing::TestWithParam<std::string> {};

TEST_P(FiniteDifference, AgreesWithTheBackward) {
  const ReferenceOp& op = *find_reference(GetParam());
  for (int i = 0; i < kCasesPerOp; ++i) {
    SCOPED_TRACE(i);
    RandomStream stream(11, Purpose::test, static_cast<std::uint64_t>(i), key_of(op.name));
    const Case drawn = op.random_case(stream);
    const Tensor weights = uniform_tensor(op.forward(drawn.inputs, drawn.attributes)[0].value.shape, stream);
    const auto gradients = op.backward(drawn.inputs, weights, drawn.attributes);
    ASSERT_EQ(gradients.size(), drawn.inputs.size());
    for (std::size_t input = 0; input < gradients.size(); ++input) {
      if (!gradients[input]) continue;
      const Extents& shape = drawn.inputs[input].shape;
      ASSERT_EQ(gradients[input]->value.shape, shape);
      check_direction(op, drawn, weights, input, *gradients[input], uniform_tensor(shape, stream));
      for (int j = 0; j < kElementsPerInput; ++j) {
        Tensor one_element(shape);
        one_element[stream.below(static_cast<std::uint32_t>(one_element.elements()))] = 1.0;
        check_direction(op, drawn, weights, input, *gradients[input], one_element);
      }
    }
  }
}

std::vector<std::string> differentiable_ops() {
  std::vector<std::string> names;
  for (const ReferenceOp& op : reference_ops()) {
    if (op.backward) names.push_back(op.name);
  }
  return names;
}

INSTANTIATE_TEST_SUITE_P(EveryOp, FiniteDifference, ::testing::ValuesIn(differentiable_ops()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace athanor::reference
