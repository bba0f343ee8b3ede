// conv2d and its gradients on the CPU: oneDNN convolutions.
#include "backend/cpu/convolution.h"
#include "backend/cpu/onednn.h"
#include "base/error.h"
#include "graph/op.h"

namespace athanor::cpu {
namespace {

std::shared_ptr<const ConvolutionPrimitive> chosen(const ChooseContext& context) {
  const auto made = choose_convolution(convolution_of(context.graph, context.node, context.threads));
  if (made == nullptr)
    throw DeviceError("layer {}: oneDNN has no {} for it", context.node.layer, context.node.op->name);
  return made;
}

NodeChoice choice_of(const ChooseContext& context, std::vector<Layout> inputs, Layout output,
                     const ConvolutionPrimitive& made) {
  NodeChoice choice;
  choice.inputs = std::move(inputs);
  choice.inputs.resize(context.node.inputs.size(), kPlain);
  choice.outputs.assign(context.node.outputs.size(), kPlain);
  choice.outputs[0] = std::move(output);
  choice.implementation = "onednn:" + made.implementation;
  choice.scratch_bytes = made.scratch.get_size();
  return choice;
}

NodeChoice choose_forward(const ChooseContext& context) {
  const auto made = chosen(context);
  return choice_of(context, {made->x_layout, made->weight_layout}, made->y_layout, *made);
}

NodeChoice choose_backward_data(const ChooseContext& context) {
  const auto made = chosen(context);
  return choice_of(context, {made->y_layout, made->weight_layout}, made->x_layout, *made);
}

NodeChoice choose_backward_weights(const ChooseContext& context) {
  const auto made = chosen(context);
  return choice_of(context, {made->x_layout, made->y_layout}, made->weight_layout, *made);
}

std::shared_ptr<const ConvolutionPrimitive> planned(const Binding& binding, const Layout& x, const Layout& y) {
  const auto made = make_convolution(convolution_of(binding.graph, binding.node, binding.threads), x, y);
  ATHANOR_CHECK(made != nullptr, "layer {}: the planned convolution does not exist", binding.node.layer);
  return made;
}

Step prepare_forward(const Binding& binding) {
  const auto made = planned(binding, binding.input_layouts[0], binding.output_layouts[0]);
  std::vector<Argument> arguments{{DNNL_ARG_SRC, made->x, binding.inputs[0]},
                                  {DNNL_ARG_WEIGHTS, made->weight, binding.inputs[1]},
                                  {DNNL_ARG_DST, made->y, binding.outputs[0]},
                                  {DNNL_ARG_SCRATCHPAD, made->scratch, binding.scratch}};
  if (binding.has_input(2)) arguments.push_back({DNNL_ARG_BIAS, made->bias, binding.inputs[2]});
  return bind_primitive(made->primitive, arguments);
}

Step prepare_backward_data(const Binding& binding) {
  const auto made = planned(binding, binding.output_layouts[0], binding.input_layouts[0]);
  return bind_primitive(made->primitive, {{DNNL_ARG_DIFF_DST, made->y, binding.inputs[0]},
                                          {DNNL_ARG_WEIGHTS, made->weight, binding.inputs[1]},
                                          {DNNL_ARG_DIFF_SRC, made->x, binding.outputs[0]},
                                          {DNNL_ARG_SCRATCHPAD, made->scratch, binding.scratch}});
}

Step prepare_backward_weights(const Binding& binding) {
  const auto made = planned(binding, binding.input_layouts[0], binding.input_layouts[1]);
  std::vector<Argument> arguments{{DNNL_ARG_SRC, made->x, binding.inputs[0]},
                                  {DNNL_ARG_DIFF_DST, made->y, binding.inputs[1]},
                                  {DNNL_ARG_DIFF_WEIGHTS, made->weight, binding.outputs[0]},
                                  {DNNL_ARG_SCRATCHPAD, made->scratch, binding.scratch}};
  if (binding.outputs.size() > 1) arguments.push_back({DNNL_ARG_DIFF_BIAS, made->bias, binding.outputs[1]});
  return bind_primitive(made->primitive, arguments);
}

const RegisterCpuOp kForward{"conv2d", {choose_forward, prepare_forward}};
const RegisterCpuOp kBackwardData{"conv2d_backward_data", {choose_backward_data, prepare_backward_data}};
const RegisterCpuOp kBackwardWeights{"conv2d_backward_weights", {choose_backward_weights, prepare_backward_weights}};

}  // namespace
}  // namespace athanor::cpu
