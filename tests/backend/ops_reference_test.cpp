// Every op of the CPU back end against the double-precision reference on random shapes, forward and gradient, in every
// activation layout, on one thread and two.
#include <gtest/gtest.h>

#include "graph/op.h"
#include "kernels/isa.h"
#include "support/op_checks.h"

namespace athanor::testing {
namespace {

constexpr int kCases = 32;

RunOptions options_of_case(int i, DType dtype) {
  static const std::vector<Layout> kLayouts{"nChw16c", "plain", "nhwc", "nChw8c"};
  const auto index = static_cast<std::size_t>(i);
  return {.dtype = dtype, .threads = 1 + i / 4 % 2, .layout = kLayouts[index % kLayouts.size()], .seed = 0};
}

class OpForward : public ::testing::TestWithParam<std::string> {};
class OpGradient : public ::testing::TestWithParam<std::string> {};

TEST_P(OpForward, EqualsTheReferenceInFloat32) {
  check_forward(GetParam(), DType::f32, kCases, options_of_case);
}
TEST_P(OpGradient, EqualsTheReferenceInFloat32) {
  check_gradient(GetParam(), DType::f32, kCases, options_of_case);
}

/// Products in bfloat16 need a processor that has them; everything else computes in float32 and only stores bfloat16.
bool needs_native_bf16(const std::string& op) {
  return op.starts_with("conv2d") || op.starts_with("linear");
}

TEST_P(OpForward, EqualsTheReferenceInBFloat16) {
  if (needs_native_bf16(GetParam()) && !kernels::has_native_bf16()) GTEST_SKIP() << "the processor has no bfloat16";
  check_forward(GetParam(), DType::bf16, kCases, options_of_case);
}
TEST_P(OpGradient, EqualsTheReferenceInBFloat16) {
  if (needs_native_bf16(GetParam()) && !kernels::has_native_bf16()) GTEST_SKIP() << "the processor has no bfloat16";
  check_gradient(GetParam(), DType::bf16, kCases, options_of_case);
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
