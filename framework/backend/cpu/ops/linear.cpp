// linear and its gradients on the CPU: oneDNN inner products on plain matrices.
#include "backend/cpu/onednn.h"
#include "graph/op.h"

namespace athanor::cpu {
namespace {

using dnnl::inner_product_backward_data;
using dnnl::inner_product_backward_weights;
using dnnl::inner_product_forward;

struct Matrices {
  dnnl::memory::desc x, weight, bias, y;
};

Matrices describe_matrices(const Value& x, const Value& weight, const Value& y) {
  return {describe(x.shape, x.dtype, kPlain), describe(weight.shape, weight.dtype, kPlain),
          describe({weight.shape[0]}, DType::f32, kPlain), describe(y.shape, y.dtype, kPlain)};
}

dnnl::primitive_attr attributes_of(bool relu) {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  if (relu) {
    dnnl::post_ops post_ops;
    post_ops.append_eltwise(1.0f, dnnl::algorithm::eltwise_relu, 0.0f, 0.0f);
    attributes.set_post_ops(post_ops);
  }
  return attributes;
}

inner_product_forward::primitive_desc forward_desc(const Matrices& m, bool has_bias, bool relu) {
  const auto kind = dnnl::prop_kind::forward_training;
  const auto op = has_bias ? inner_product_forward::desc(kind, m.x, m.weight, m.bias, m.y)
                           : inner_product_forward::desc(kind, m.x, m.weight, m.y);
  return {op, attributes_of(relu), engine()};
}

inner_product_forward::primitive_desc hint_desc(const Matrices& m) {
  Matrices hint = m;
  // The hint's weights have the activations' type, also where the gradient is float32.
  hint.weight = dnnl::memory::desc(m.weight.dims(), m.x.data_type(), dnnl::memory::format_tag::ab);
  return forward_desc(hint, false, false);
}

template <typename PrimitiveDesc>
NodeChoice choice_of(const ChooseContext& context, const PrimitiveDesc& desc) {
  NodeChoice choice = choose_plain(context);
  choice.implementation = std::string("onednn:") + desc.impl_info_str();
  choice.scratch_bytes = desc.scratchpad_desc().get_size();
  return choice;
}

struct Forward {
  inner_product_forward::primitive_desc desc;
  Matrices m;

  Forward(const Graph& graph, const Node& node)
      : desc(),
        m(describe_matrices(graph.value(node.inputs[0]), graph.value(node.inputs[1]), graph.value(node.outputs[0]))) {
    const bool has_bias = node.inputs.size() > 2 && node.inputs[2] != kNoValue;
    desc = forward_desc(m, has_bias, node.attributes.text("activation") == "relu");
  }
};

struct BackwardData {
  Matrices m;
  inner_product_backward_data::primitive_desc desc;

  BackwardData(const Graph& graph, const Node& node)
      : m(describe_matrices(graph.value(node.outputs[0]), graph.value(node.inputs[1]), graph.value(node.inputs[0]))),
        desc({m.x, m.weight, m.y}, attributes_of(false), engine(), hint_desc(m)) {}
};

struct BackwardWeights {
  Matrices m;
  inner_product_backward_weights::primitive_desc desc;

  BackwardWeights(const Graph& graph, const Node& node)
      : m(describe_matrices(graph.value(node.inputs[0]), graph.value(node.outputs[0]), graph.value(node.inputs[1]))),
        desc(operation(m, node.attributes.flag("bias")), attributes_of(false), engine(), hint_desc(m)) {}

  static inner_product_backward_weights::desc operation(const Matrices& m, bool has_bias) {
    return has_bias ? inner_product_backward_weights::desc(m.x, m.weight, m.bias, m.y)
                    : inner_product_backward_weights::desc(m.x, m.weight, m.y);
  }
};

Step prepare_forward(const Binding& b) {
  const Forward made(b.graph, b.node);
  std::vector<Argument> arguments{{DNNL_ARG_SRC, made.m.x, b.inputs[0]},
                                  {DNNL_ARG_WEIGHTS, made.m.weight, b.inputs[1]},
                                  {DNNL_ARG_DST, made.m.y, b.outputs[0]},
                                  {DNNL_ARG_SCRATCHPAD, made.desc.scratchpad_desc(), b.scratch}};
  if (b.has_input(2)) arguments.push_back({DNNL_ARG_BIAS, made.m.bias, b.inputs[2]});
  return bind_primitive(inner_product_forward(made.desc), arguments);
}

Step prepare_backward_data(const Binding& b) {
  const BackwardData made(b.graph, b.node);
  return bind_primitive(inner_product_backward_data(made.desc),
                        {{DNNL_ARG_DIFF_DST, made.m.y, b.inputs[0]},
                         {DNNL_ARG_WEIGHTS, made.m.weight, b.inputs[1]},
                         {DNNL_ARG_DIFF_SRC, made.m.x, b.outputs[0]},
                         {DNNL_ARG_SCRATCHPAD, made.desc.scratchpad_desc(), b.scratch}});
}

Step prepare_backward_weights(const Binding& b) {
  const BackwardWeights made(b.graph, b.node);
  std::vector<Argument> arguments{{DNNL_ARG_SRC, made.m.x, b.inputs[0]},
                                  {DNNL_ARG_DIFF_DST, made.m.y, b.inputs[1]},
                                  {DNNL_ARG_DIFF_WEIGHTS, made.m.weight, b.outputs[0]},
                                  {DNNL_ARG_SCRATCHPAD, made.desc.scratchpad_desc(), b.scratch}};
  if (b.outputs.size() > 1) arguments.push_back({DNNL_ARG_DIFF_BIAS, made.m.bias, b.outputs[1]});
  return bind_primitive(inner_product_backward_weights(made.desc), arguments);
}

const RegisterCpuOp kForward{
    "linear", {[](const ChooseContext& c) { return choice_of(c, Forward(c.graph, c.node).desc); }, prepare_forward}};
const RegisterCpuOp kBackwardData{
    "linear_backward_data",
    {[](const ChooseContext& c) { return choice_of(c, BackwardData(c.graph, c.node).desc); }, prepare_backward_data}};
const RegisterCpuOp kBackwardWeights{
    "linear_backward_weights",
    {[](const ChooseContext& c) { return choice_of(c, BackwardWeights(c.graph, c.node).desc); },
     prepare_backward_weights}};

}  // namespace
}  // namespace athanor::cpu
