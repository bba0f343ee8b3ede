#include "support/op_checks.h"

#include <gtest/gtest.h>

#include "backend/op_checking.h"
#include "graph/op.h"

namespace athanor::testing {
namespace {

using Tolerance = double (*)(const reference::Result&, std::int64_t);

/// Where convolutions may be Winograd's.
Tolerance own_float32_tolerance(const RunOptions& options) {
  return options.convolutions == nullptr ? float32_tolerance : winograd_tolerance;
}

Tolerance forward_tolerance(const RunOptions& options) {
  return options.dtype == DType::bf16  ? bfloat16_tolerance
         : options.dtype == DType::f16 ? float16_tolerance
                                       : own_float32_tolerance(options);
}

/// Where a library cannot take a bias along, its product is rounded before the bias is added: an error of its own size,
/// which the bound of the terms covers as it does for gradients.
bool rounds_before_bias(const OpCall& call, const RunOptions& options) {
  const bool is_product = call.op == "conv2d" || call.op == "linear";
  return options.runner && is_product && call.inputs.size() > 2 && call.inputs[2];
}

Tolerance gradient_tolerance(const RunOptions& options) {
  return options.dtype == DType::bf16  ? bfloat16_gradient_tolerance
         : options.dtype == DType::f16 ? float16_gradient_tolerance
                                       : own_float32_tolerance(options);
}

reference::Case drawn_case(const std::string& op, int i) {
  RandomStream stream(21, Purpose::test, static_cast<std::uint64_t>(i), key_of(op));
  return reference::random_case(op, stream);
}

std::string describe_case(const OpCall& call, const RunOptions& options) {
  std::string text =
      fmt::format("{} {} {} threads {}:", call.op, name_of(options.dtype), options.layout, options.threads);
  for (const auto& input : call.inputs) text += input ? " " + Shape(std::span(input->shape)).text() : " -";
  for (const auto& [key, value] : call.attributes.entries()) text += fmt::format(" {}={}", key, to_text(value));
  return text;
}

}  // namespace

void check_forward(const std::string& name, const reference::Case& given, const RunOptions& options,
                   const TakesCase& takes) {
  const reference::Case drawn = rounded_operands(name, given, options.dtype);
  const OpCall call = op_call(name, drawn);
  if (takes && !takes(call)) return;
  SCOPED_TRACE(describe_case(call, options));
  const auto want = reference::find_reference(name)->forward(drawn.inputs, drawn.attributes);
  const std::vector<reference::Tensor> got = run_op(call, options);
  ASSERT_GE(got.size(), want.size());
  EXPECT_EQ(got[0].shape, want[0].value.shape);
  const Tolerance tolerance =
      rounds_before_bias(call, options) ? gradient_tolerance(options) : forward_tolerance(options);
  for (std::size_t output = 0; output < want.size(); ++output) {
    expect_close(got[output], want[output], tolerance, fmt::format("output {}", output));
    if (::testing::Test::HasFatalFailure()) return;
  }
}

void check_gradient(const std::string& name, const reference::Case& given, RandomStream stream,
                    const RunOptions& options) {
  const reference::ReferenceOp& op = *reference::find_reference(name);
  const reference::Case drawn = rounded_operands(name, given, options.dtype);
  const OpCall call = op_call(name, drawn);
  SCOPED_TRACE(describe_case(call, options));
  const auto shape = op.forward(drawn.inputs, drawn.attributes)[0].value.shape;
  const reference::Tensor dy = rounded(reference::uniform_tensor(shape, stream), options.dtype);
  const auto want = op.backward(drawn.inputs, dy, drawn.attributes);
  const GradientRun got = run_gradient(call, dy, options);
  for (std::size_t input = 0; input < want.size(); ++input) {
    // The targets of a loss come from labels: the graph gives them no gradient.
    const bool is_target = input == 1 && (name == "mse_loss" || name == "bce_with_logits");
    if (!want[input] || is_target) continue;
    ASSERT_TRUE(got.gradients[input]) << "no gradient of input " << input;
    expect_close(*got.gradients[input], *want[input], gradient_tolerance(options),
                 fmt::format("gradient of input {}", input));
    if (::testing::Test::HasFatalFailure()) return;
  }
}

void check_forward(const std::string& name, DType dtype, int cases, const OptionsOfCase& options_of,
                   const TakesCase& takes) {
  for (int i = 0; i < cases; ++i) {
    check_forward(name, drawn_case(name, i), options_of(i, dtype), takes);
    if (::testing::Test::HasFatalFailure()) return;
  }
}

void check_gradient(const std::string& name, DType dtype, int cases, const OptionsOfCase& options_of) {
  for (int i = 0; i < cases; ++i) {
    const RandomStream stream(22, Purpose::test, static_cast<std::uint64_t>(i), key_of(name));
    check_gradient(name, drawn_case(name, i), stream, options_of(i, dtype));
    if (::testing::Test::HasFatalFailure()) return;
  }
}

std::vector<std::string> op_names(bool with_gradient) {
  std::vector<std::string> names;
  for (const OpDef* op : registered_ops()) {
    const reference::ReferenceOp* found = reference::find_reference(op->name);
    if (found == nullptr) continue;
    if (!with_gradient || (op->gradient && found->backward)) names.push_back(op->name);
  }
  return names;
}

}  // namespace athanor::testing
