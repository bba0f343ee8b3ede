// Every op that a graph can hold runs on the CPU.
#include <gtest/gtest.h>

#include "backend/cpu/op.h"
#include "graph/op.h"

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

TEST(CpuOps, AnUnknownOpIsNotFound) {
  EXPECT_EQ(cpu::find_cpu_op("no_such_op"), nullptr);
}

}  // namespace
}  // namespace athanor
