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

bool keeps_places(const Value& x, const Layout& from, const Value& y, const Layout& to) {
  return from == to && is_float(x.dtype) && is_float(y.dtype);
}

struct ReorderPrimitive {
  dnnl::memory::desc source, target;
  dnnl::reorder::primitive_desc desc;
};

ReorderPrimitive make_reorder(const Value& x, const Layout& from, const Value& y, const Layout& to) {
  // Plain weights are the same memory with or without groups; the other side says how many there are.
  const std::int64_t groups = std::max(groups_of(from), groups_of(to));
  const dnnl::memory::desc source = describe(x.shape, x.dtype, from, groups);
  const dnnl::memory::desc target = describe(y.shape, y.dtype, to, groups);
  return {source, target, dnnl::reorder::primitive_desc(engine(), source, engine(), target)};
}

Step prepare_reorder(const Binding& b) {
  const Value &x = b.input_value(0), &y = b.output_value(0);
  const Layout &from = b.input_layouts[0], &to = b.output_layouts[0];
  if (keeps_places(x, from, y, to)) return prepare_flat(b);
  const ReorderPrimitive made = make_reorder(x, from, y, to);
  return bind_primitive(dnnl::reorder(made.desc),
                        {{DNNL_ARG_FROM, made.source, b.inputs[0]}, {DNNL_ARG_TO, made.target, b.outputs[0]}});
}

const RegisterCpuOp kReorder{"reorder", {kernel_that_follows(0, "reorder"), prepare_reorder}};
const RegisterCpuOp kCast{"cast", {kernel_that_follows(0, "cast"), prepare_reorder}};

}  // namespace

std::string implementation_of_reorder(const Value& x, const Layout& from, const Value& y, const Layout& to) {
  if (keeps_places(x, from, y, to)) return own_implementation("cast");
  return std::string("onednn:") + make_reorder(x, from, y, to).desc.impl_info_str();
}

}  // namespace athanor::cpu
