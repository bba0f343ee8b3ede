// Every op of the CUDA back end against the double-precision reference on random shapes, forward and gradient, in every
// type of activations: on the emulation, or on a GPU (ATHANOR_TEST_DEVICE=cuda).
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "backend/cuda/op.h"
#include "gpu/support/cuda_runner.h"
#include "gpu/support/test_device.h"
#include "graph/op.h"
#include "support/op_checks.h"

namespace athanor::testing {
namespace {

/// Ops that run on CPUs only: those that the CPU's planner puts in. The list must not grow by others.
const std::set<std::string>& missing_ops() {
  static const std::set<std::string> names{"fold_batch_norm", "scale_sums", "batch_norm_factors"};
  return names;
}

/// On a GPU the engines of every product are planned and timed, which takes longer than what they compute.
int cases_of(const std::string& op) {
  const bool is_product = op.starts_with("conv2d") || op.starts_with("linear");
  return wants_gpu() && !is_product ? 24 : 8;
}

RunOptions on_gpu(int, DType dtype) {
  return {.dtype = dtype, .runner = run_graph_on_gpu};
}

/// Means and deviations of an image's channels travel in the kernel's arguments: there are no more than 4.
bool is_taken(const OpCall& call) {
  return call.op != "prepare_input" || call.inputs[0]->shape[1] <= 4;
}

TEST(CudaOps, EveryRegisteredOpHasAnImplementationOrIsListed) {
  for (const OpDef* op : registered_ops()) {
    const cuda::CudaOp* found = cuda::find_cuda_op(op->name);
    EXPECT_EQ(found == nullptr && !op->is_view, missing_ops().contains(op->name))
        << "op '" << op->name << "': "
        << (found == nullptr ? "the CUDA back end has none; add it under "
                               "framework/backend/cuda/ops/"
                             : "no longer missing; take it off the list");
    if (found == nullptr) continue;
    EXPECT_TRUE(found->choose) << op->name;
    EXPECT_TRUE(found->prepare) << op->name;
  }
}

struct OpInType {
  std::string op;
  DType dtype;
};
void PrintTo(const OpInType& one, std::ostream* out) {
  *out << one.op << " " << name_of(one.dtype);
}

std::vector<OpInType> every_op(bool with_gradient) {
  std::vector<OpInType> all;
  for (const std::string& name : op_names(with_gradient)) {
    if (missing_ops().contains(name)) continue;
    for (const DType dtype : {DType::f32, DType::bf16, DType::f16}) all.push_back({name, dtype});
  }
  return all;
}

class CudaOpForward : public ::testing::TestWithParam<OpInType> {};
class CudaOpGradient : public ::testing::TestWithParam<OpInType> {};

TEST_P(CudaOpForward, EqualsTheReference) {
  ATHANOR_SKIP_WITHOUT_DEVICE();
  check_forward(GetParam().op, GetParam().dtype, cases_of(GetParam().op), on_gpu, is_taken);
}

TEST_P(CudaOpGradient, EqualsTheReference) {
  ATHANOR_SKIP_WITHOUT_DEVICE();
  check_gradient(GetParam().op, GetParam().dtype, cases_of(GetParam().op), on_gpu);
}

std::string name_of_case(const ::testing::TestParamInfo<OpInType>& info) {
  return info.param.op + "_" + std::string(name_of(info.param.dtype));
}
INSTANTIATE_TEST_SUITE_P(EveryOp, CudaOpForward, ::testing::ValuesIn(every_op(false)), name_of_case);
INSTANTIATE_TEST_SUITE_P(EveryOp, CudaOpGradient, ::testing::ValuesIn(every_op(true)), name_of_case);

}  // namespace
}  // namespace athanor::testing
