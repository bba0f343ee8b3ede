// linear and its gradients on the CPU: oneDNN inner products on plain matrices.
#include "backend/cpu/inner_product.h"
#include "backend/cpu/onednn.h"
#include "base/error.h"
#include "graph/op.h"

namespace athanor::cpu {
namespace {

ProductPrimitive make_plain(const Graph& graph, const Node& node) {
  const InnerProduct product = inner_product_of(graph, node);
  std::optional<ProductPrimitive> made = make_inner_product(product, MatrixLayouts{});
  if (!made) throw DeviceError("layer {}: oneDNN has no {} for it", node.layer, node.op->name);
  return std::move(*made);
}

NodeChoice choose_linear(const ChooseContext& context) {
  const ProductPrimitive made = make_plain(context.graph, context.node);
  NodeChoice choice = choose_plain(context);
  choice.implementation = made.implementation;
  choice.scratch_bytes = made.scratch.get_size();
  return choice;
}

ProductPrimitive planned_product(const Binding& binding) {
  ProductPrimitive made = make_plain(binding.graph, binding.node);
  check_planned(binding, "implementation", binding.implementation, made.implementation);
  return made;
}

Step prepare_linear_forward(const Binding& b) {
  const ProductPrimitive made = planned_product(b);
  std::vector<Argument> arguments{{DNNL_ARG_SRC, made.x, b.inputs[0]},
                                  {DNNL_ARG_WEIGHTS, made.weight, b.inputs[1]},
                                  {DNNL_ARG_DST, made.y, b.outputs[0]},
                                  {DNNL_ARG_SCRATCHPAD, made.scratch, b.scratch}};
  if (b.has_input(2)) arguments.push_back({DNNL_ARG_BIAS, made.bias, b.inputs[2]});
  return bind_primitive(made.primitive, arguments);
}

Step prepare_linear_backward_data(const Binding& b) {
  const ProductPrimitive made = planned_product(b);
  return bind_primitive(made.primitive, {{DNNL_ARG_DIFF_DST, made.y, b.inputs[0]},
                                         {DNNL_ARG_WEIGHTS, made.weight, b.inputs[1]},
                                         {DNNL_ARG_DIFF_SRC, made.x, b.outputs[0]},
                                         {DNNL_ARG_SCRATCHPAD, made.scratch, b.scratch}});
}

Step prepare_linear_backward_weights(const Binding& b) {
  const ProductPrimitive made = planned_product(b);
  std::vector<Argument> arguments{{DNNL_ARG_SRC, made.x, b.inputs[0]},
                                  {DNNL_ARG_DIFF_DST, made.y, b.inputs[1]},
                                  {DNNL_ARG_DIFF_WEIGHTS, made.weight, b.outputs[0]},
                                  {DNNL_ARG_SCRATCHPAD, made.scratch, b.scratch}};
  if (b.outputs.size() > 1) arguments.push_back({DNNL_ARG_DIFF_BIAS, made.bias, b.outputs[1]});
  return bind_primitive(made.primitive, arguments);
}

const RegisterCpuOp kLinearForward{"linear", {choose_linear, prepare_linear_forward}};
const RegisterCpuOp kLinearBackwardData{"linear_backward_data", {choose_linear, prepare_linear_backward_data}};
const RegisterCpuOp kLinearBackwardWeights{"linear_backward_weights", {choose_linear, prepare_linear_backward_weights}};

}  // namespace
}  // namespace athanor::cpu
