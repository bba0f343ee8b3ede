// Every op of the CPU back end against PyTorch's golden values (tests/parity/make_ops.py): the semantics, end to end.
#include <gtest/gtest.h>

#include "backend/op_checking.h"
#include "graph/op.h"
#include "support/fixture.h"
#include "support/op_runner.h"

namespace athanor::testing {
namespace {

/// The golden value, stored as float32, with the reference's bound.
reference::Result golden_result(const FixtureTensor& golden, const reference::Result& computed) {
  return {golden.tensor, computed.bound};
}

/// The bound, and half a unit in the last place for the stored float32.
double tolerance(const reference::Result& want, std::int64_t e) {
  return float32_tolerance(want, e) + 0x1p-24 * std::abs(want.value[e]);
}

reference::Case case_of(const FixtureCase& golden) {
  return {golden.attributes, golden.input_tensors()};
}

TEST(OpsGolden, ForwardEqualsPyTorch) {
  for (const FixtureCase& golden : read_fixture("ops")) {
    SCOPED_TRACE(golden.name);
    const auto computed = reference::find_reference(golden.op)->forward(golden.input_tensors(), golden.attributes);
    const std::vector<reference::Tensor> got = run_op(op_call(golden.op, case_of(golden)));
    ASSERT_GE(got.size(), golden.outputs.size());
    for (std::size_t i = 0; i < golden.outputs.size(); ++i) {
      expect_close(got[i], golden_result(golden.outputs[i], computed[i]), tolerance, golden.outputs[i].name);
    }
  }
}

TEST(OpsGolden, GradientsEqualPyTorch) {
  for (const FixtureCase& golden : read_fixture("ops")) {
    if (!golden.output_gradient || !op_named(golden.op).gradient) continue;
    SCOPED_TRACE(golden.name);
    const reference::Tensor& dy = golden.output_gradient->tensor;
    const auto computed = reference::find_reference(golden.op)->backward(golden.input_tensors(), dy, golden.attributes);
    const GradientRun got = run_gradient(op_call(golden.op, case_of(golden)), dy);
    for (std::size_t i = 0; i < golden.input_gradients.size(); ++i) {
      const bool is_target = i == 1 && (golden.op == "mse_loss" || golden.op == "bce_with_logits");
      if (!golden.input_gradients[i] || is_target) continue;
      ASSERT_TRUE(got.gradients[i]) << golden.inputs[i].name;
      expect_close(*got.gradients[i], golden_result(*golden.input_gradients[i], *computed[i]), tolerance,
                   "gradient of " + golden.inputs[i].name);
    }
  }
}

}  // namespace
}  // namespace athanor::testing
