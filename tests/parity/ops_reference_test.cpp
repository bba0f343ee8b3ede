// The double-precision reference against PyTorch's golden values: the two may differ by the rounding of the stored
// float32 alone, so this fixes the semantics (ties, padding, biased and unbiased variance, smoothing, masks).
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "reference/reference.h"
#include "support/fixture.h"

namespace athanor {
namespace {

/// Half a unit in the last place of the stored value, and the reordering of double-precision sums.
void expect_equal(const reference::Result& got, const reference::Tensor& want, const std::string& what) {
  ASSERT_EQ(got.value.shape, want.shape) << what;
  for (std::int64_t e = 0; e < want.elements(); ++e) {
    const double tolerance = 0x1p-24 * std::abs(got.value[e]) + 1e-13 * got.bound[e];
    ASSERT_NEAR(got.value[e], want[e], tolerance) << what << ", element " << e;
  }
}

TEST(OpsParity, ReferenceForwardEqualsPyTorch) {
  for (const testing::FixtureCase& golden : testing::read_fixture("ops")) {
    SCOPED_TRACE(golden.name);
    const reference::ReferenceOp* op = reference::find_reference(golden.op);
    ASSERT_NE(op, nullptr);
    const auto outputs = op->forward(golden.input_tensors(), golden.attributes);
    ASSERT_GE(outputs.size(), golden.outputs.size());  // PyTorch has no per-sample means of losses
    for (std::size_t i = 0; i < golden.outputs.size(); ++i) {
      expect_equal(outputs[i], golden.outputs[i].tensor, golden.outputs[i].name);
    }
  }
}

TEST(OpsParity, ReferenceGradientsEqualPyTorch) {
  for (const testing::FixtureCase& golden : testing::read_fixture("ops")) {
    if (!golden.output_gradient) continue;
    SCOPED_TRACE(golden.name);
    const reference::ReferenceOp* op = reference::find_reference(golden.op);
    ASSERT_NE(op, nullptr);
    const auto gradients = op->backward(golden.input_tensors(), golden.output_gradient->tensor, golden.attributes);
    ASSERT_EQ(gradients.size(), golden.input_gradients.size());
    for (std::size_t i = 0; i < gradients.size(); ++i) {
      ASSERT_EQ(gradients[i].has_value(), golden.input_gradients[i].has_value()) << golden.inputs[i].name;
      if (gradients[i]) expect_equal(*gradients[i], golden.input_gradients[i]->tensor, golden.inputs[i].name);
    }
  }
}

TEST(OpsParity, EveryReferenceWithAGradientHasAGoldenCase) {
  std::set<std::string> covered;
  for (const testing::FixtureCase& golden : testing::read_fixture("ops")) covered.insert(golden.op);
  for (const reference::ReferenceOp& op : reference::reference_ops()) {
    if (op.backward) {
      EXPECT_TRUE(covered.contains(op.name)) << "make_ops.py has no case of " << op.name;
    }
  }
}

}  // namespace
}  // namespace athanor
