// Moves a value into another layout or element type: `reorder`, which the layout pass inserts, and `cast`, which may do
// both at once when its input is a parameter.
#include <algorithm>

#include "backend/cpu/onednn.h"
#include "backend/cpu/ops/support.h"
#include "kernels/elementwise.h"

namespace athanor::cpu {
namespace {

bool is_float(DType dtype) {
  return dtype == DType::f32 || dtype == DType::bf16;
}

/// Same layout: the elements keep their places.
Step prepare_flat(const Binding& b) {
  const Value &x = b.input_value(0), &y = b.output_value(0);
  return [from = x.dtype, to = y.dtype, count = stored_elements(x, b.input_layouts[0]), threads = b.threads,
          source = b.inputs[0], target = b.outputs[0],
          run = kernels::elementwise_kernels().cast] { run(from, source, to, target, count, threads); };
}

Step prepare_reorder(const Binding& b) {
  const Value &x = b.input_value(0), &y = b.output_value(0);
  const Layout &from = b.input_layouts[0], &to = b.output_layouts[0];
  if (from == to && is_float(x.dtype) && is_float(y.dtype)) return prepare_flat(b);
  // Plain weights are the same memory with or without groups; the other side says how many there are.
  const std::int64_t groups = std::max(groups_of(from), groups_of(to));
  const dnnl::memory::desc source = describe(x.shape, x.dtype, from, groups);
  const dnnl::memory::desc target = describe(y.shape, y.dtype, to, groups);
  const dnnl::reorder::primitive_desc desc(engine(), source, engine(), target);
  return bind_primitive(dnnl::reorder(desc),
                        {{DNNL_ARG_FROM, source, b.inputs[0]}, {DNNL_ARG_TO, target, b.outputs[0]}});
}

const RegisterCpuOp kReorder{"reorder", {kernel_that_follows(0, "reorder"), prepare_reorder}};
const RegisterCpuOp kCast{"cast", {kernel_that_follows(0, "cast"), prepare_reorder}};

}  // namespace
}  // namespace athanor::cpu
