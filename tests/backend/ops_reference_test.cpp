// Every op of the CPU back end against the double-precision reference on random shapes, forward and gradient, in every
// activation layout, on one thread and two.
#include <gtest/gtest.h>

#include "backend/op_checking.h"
#include "graph/op.h"
#include "kernels/isa.h"
#include "support/op_runner.h"

namespace athanor::testing {
namespace {

constexpr int kCases = 32;

RunOptions options_of_case(int i, DType dtype) {
  static const std::vector<Layout> kLayouts{"nChw16c", "plain", "nhwc", "nChw8c"};
  const auto index = static_cast<std::size_t>(i);
  return {.dtype = dtype, .threads = 1 + i / 4 % 2, .layout = kLayouts[index % kLayouts.size()], .seed = 0};
}

reference::Case drawn_case(const std::string& op, int i, DType dtype) {
  RandomStream stream(21, Purpose::test, static_cast<std::uint64_t>(i), key_of(op));
  return rounded_operands(op, reference::random_case(op, stream), dtype);
}

std::string describe_case(const OpCall& call, const RunOptions& options) {
  std::string text =
      fmt::format("{} {} {} threads {}:", call.op, name_of(options.dtype), options.layout, options.threads);
  for (const auto& input : call.inputs) text += input ? " " + Shape(std::span(input->shape)).text() : " -";
  for (const auto& [key, value] : call.attributes.entries()) text += fmt::format(" {}={}", key, to_text(value));
  return text;
}

void check_forward(const std::string& name, DType dtype) {
  const reference::ReferenceOp& op = *reference::find_reference(name);
  for (int i = 0; i < kCases; ++i) {
    const reference::Case drawn = drawn_case(name, i, dtype);
    const RunOptions options = options_of_case(i, dtype);
    const OpCall call = op_call(name, drawn);
    SCOPED_TRACE(describe_case(call, options));
    const auto want = op.forward(drawn.inputs, drawn.attributes);
    const std::vector<reference::Tensor> got = run_op(call, options);
    ASSERT_GE(got.size(), want.size());
    EXPECT_EQ(got[0].shape, want[0].value.shape);
    for (std::size_t output = 0; output < want.size(); ++output) {
      expect_close(got[output], want[output], dtype == DType::bf16 ? bfloat16_tolerance : float32_tolerance,
                   fmt::format("output {}", output));
      if (::testing::Test::HasFatalFailure()) return;
    }
  }
}

void check_gradient(const std::string& name, DType dtype) {
  const reference::ReferenceOp& op = *reference::find_reference(name);
  for (int i = 0; i < kCases; ++i) {
    const reference::Case drawn = drawn_case(name, i, dtype);
    const RunOptions options = options_of_case(i, dtype);
    const OpCall call = op_call(name, drawn);
    SCOPED_TRACE(describe_case(call, options));
    RandomStream stream(22, Purpose::test, static_cast<std::uint64_t>(i), key_of(name));
    const auto shape = op.forward(drawn.inputs, drawn.attributes)[0].value.shape;
    const reference::Tensor dy = rounded(reference::uniform_tensor(shape, stream), dtype);
    const auto want = op.backward(drawn.inputs, dy, drawn.attributes);
    const GradientRun got = run_gradient(call, dy, options);
    for (std::size_t input = 0; input < want.size(); ++input) {
      // The targets of a loss come from labels: the graph gives them no gradient.
      const bool is_target = input == 1 && (name == "mse_loss" || name == "bce_with_logits");
      if (!want[input] || is_target) continue;
      ASSERT_TRUE(got.gradients[input]) << "no gradient of input " << input;
      expect_close(*got.gradients[input], *want[input],
                   dtype == DType::bf16 ? bfloat16_gradient_tolerance : float32_tolerance,
                   fmt::format("gradient of input {}", input));
      if (::testing::Test::HasFatalFailure()) return;
    }
  }
}

class OpForward : public ::testing::TestWithParam<std::string> {};
class OpGradient : public ::testing::TestWithParam<std::string> {};

TEST_P(OpForward, EqualsTheReferenceInFloat32) {
  check_forward(GetParam(), DType::f32);
}
TEST_P(OpGradient, EqualsTheReferenceInFloat32) {
  check_gradient(GetParam(), DType::f32);
}

/// Products in bfloat16 need a processor that has them; everything else computes in float32 and only stores bfloat16.
bool needs_native_bf16(const std::string& op) {
  return op.starts_with("conv2d") || op.starts_with("linear");
}

TEST_P(OpForward, EqualsTheReferenceInBFloat16) {
  if (needs_native_bf16(GetParam()) && !kernels::has_native_bf16()) GTEST_SKIP() << "the processor has no bfloat16";
  check_forward(GetParam(), DType::bf16);
}
TEST_P(OpGradient, EqualsTheReferenceInBFloat16) {
  if (needs_native_bf16(GetParam()) && !kernels::has_native_bf16()) GTEST_SKIP() << "the processor has no bfloat16";
  check_gradient(GetParam(), DType::bf16);
}

/// Registered ops that have a reference; with_gradient: and a gradient on both sides.
std::vector<std::string> op_names(bool with_gradient) {
  std::vector<std::string> names;
  for (const OpDef* op : registered_ops()) {
    const reference::ReferenceOp* found = reference::find_reference(op->name);
    if (found == nullptr) continue;
    if (!with_gradient || (op->gradient && found->backward)) names.push_back(op->name);
  }
  return names;
}

INSTANTIATE_TEST_SUITE_P(EveryOp, OpForward, ::testing::ValuesIn(op_names(false)),
                         [](const auto& info) { return info.param; });
INSTANTIATE_TEST_SUITE_P(EveryOp, OpGradient, ::testing::ValuesIn(op_names(true)),
                         [](const auto& info) { return info.param; });

TEST(OpGradient, CastHandsTheGradientOnInTheTypeOfItsInput) {
  const reference::Case given{{{"dtype", std::string("bfloat16")}}, {reference::Tensor({1, 3}, {0.1, -2, 3})}};
  const reference::Tensor dy({1, 3}, {0.5, -0.25, 3});
  const GradientRun run = run_gradient(op_call("cast", given), dy);
  ASSERT_TRUE(run.gradients[0]);
  EXPECT_EQ(run.gradients[0]->values, dy.values);
}

}  // namespace
}  // namespace athanor::testing
