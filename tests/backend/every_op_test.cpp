// Every op that a graph can hold runs on the CPU, and is checked: against a reference of its own, or as part of the
// gradient of an op that has one.
#include <gtest/gtest.h>

#include <set>

#include "backend/cpu/op.h"
#include "graph/op.h"
#include "reference/reference.h"
#include "support/op_runner.h"

namespace athanor {
namespace {

TEST(CpuOps, EveryRegisteredOpHasAnImplementation) {
  ASSERT_FALSE(registered_ops().empty());
  for (const OpDef* op : registered_ops()) {
    const cpu::CpuOp* found = cpu::find_cpu_op(op->name);
    if (found == nullptr) {
      ADD_FAILURE() << "the CPU back end has no op '" << op->name << "'; add it under framework/backend/cpu/ops/";
      continue;
    }
    EXPECT_TRUE(found->choose) << op->name;
    EXPECT_TRUE(found->prepare) << op->name;
  }
}

/// Every op of the graphs whose gradients ops_reference_test.cpp checks.
std::set<std::string> ops_of_checked_gradients() {
  std::set<std::string> names;
  for (const OpDef* op : registered_ops()) {
    const reference::ReferenceOp* found = reference::find_reference(op->name);
    if (found == nullptr || !found->backward || !op->gradient) continue;
    RandomStream stream(23, Purpose::test, 0, key_of(op->name));
    const reference::Case drawn = found->random_case(stream);
    const auto y = found->forward(drawn.inputs, drawn.attributes)[0].value;
    names.merge(testing::run_gradient(testing::op_call(op->name, drawn), y).ops);
  }
  return names;
}

TEST(CpuOps, EveryRegisteredOpIsCheckedAgainstAReference) {
  const std::set<std::string> in_gradients = ops_of_checked_gradients();
  for (const OpDef* op : registered_ops()) {
    const bool is_checked = reference::find_reference(op->name) != nullptr || in_gradients.contains(op->name);
    EXPECT_TRUE(is_checked) << "op '" << op->name << "' has no reference; add it under tests/reference/";
  }
}

TEST(CpuOps, EveryGradientIsCheckedOrSaysWhyThereIsNone) {
  // What rounds has no derivative to compare with: ops_reference_test.cpp checks cast by hand. The gradient of
  // batch_norm_apply is that of the whole norm: synchronized_norm_test.cpp checks it.
  const std::set<std::string> checked_by_hand{"cast", "batch_norm_apply"};
  for (const OpDef* op : registered_ops()) {
    if (!op->gradient) {
      EXPECT_FALSE(op->no_gradient.empty()) << op->name << " has no gradient and does not say why";
      continue;
    }
    const reference::ReferenceOp* found = reference::find_reference(op->name);
    const bool is_checked = (found != nullptr && found->backward) || checked_by_hand.contains(op->name);
    EXPECT_TRUE(is_checked) << "the reference of op '" << op->name << "' has no backward";
  }
}

TEST(CpuOps, AnUnknownOpIsNotFound) {
  EXPECT_EQ(cpu::find_cpu_op("no_such_op"), nullptr);
}

}  // namespace
}  // namespace athanor
