// conv2d and its gradients on the CPU: oneDNN convolutions.
#include "backend/cpu/convolution.h"
#include "backend/cpu/convolution_candidates.h"
#include "backend/cpu/convolution_choices.h"
#include "backend/cpu/onednn.h"
#include "backend/cpu/ops/support.h"
#include "backend/cpu/sliced_convolution.h"
#include "backend/cpu/winograd_candidates.h"
#include "base/error.h"
#include "graph/op.h"
#include "kernels/elementwise.h"

namespace athanor::cpu {
namespace {

ProductCandidate chosen(const CpuChooseContext& context) {
  const Convolution convolution = convolution_of(context.graph, context.node, context.threads);
  if (context.convolutions != nullptr) {
    if (const auto candidate = fused_candidate(convolution, *context.convolutions, context.measures)) return *candidate;
  } else if (const auto made = choose_convolution(convolution); made != nullptr) {
    return candidate_of(convolution, *made);
  }
  throw DeviceError("layer {}: oneDNN has no {} for it: {}", context.node.layer, context.node.op->name,
                    convolution.key());
}

NodeChoice choice_of(const ChooseContext& context, std::vector<Layout> inputs, Layout output,
                     const ProductCandidate& candidate) {
  NodeChoice choice;
  choice.inputs = std::move(inputs);
  choice.inputs.resize(context.node.inputs.size(), kPlain);
  choice.outputs.assign(context.node.outputs.size(), kPlain);
  choice.outputs[0] = std::move(output);
  choice.implementation = candidate.implementation;
  choice.algorithm = candidate.algorithm;
  choice.scratch_bytes = candidate.scratch_bytes;
  return choice;
}

NodeChoice choose_forward(const CpuChooseContext& context) {
  const ProductCandidate taken = chosen(context);
  NodeChoice choice = choice_of(context, {taken.x_layout, taken.weight_layout}, taken.y_layout, taken);
  if (context.has_input(kConvolutionResidual)) choice.inputs[kConvolutionResidual] = taken.y_layout;
  return choice;
}

NodeChoice choose_backward_data(const CpuChooseContext& context) {
  const ProductCandidate taken = chosen(context);
  NodeChoice choice = choice_of(context, {taken.y_layout, taken.weight_layout}, taken.x_layout, taken);
  for (const std::size_t at : {kDataGradientResidual, kDataGradientNorm, kDataGradientNorm + 5}) {
    if (context.has_input(at)) choice.inputs[at] = taken.x_layout;
  }
  return choice;
}

NodeChoice choose_backward_weights(const CpuChooseContext& context) {
  const ProductCandidate taken = chosen(context);
  return choice_of(context, {taken.x_layout, taken.y_layout}, taken.weight_layout, taken);
}

Convolution planned_convolution(const Binding& binding) {
  Convolution conv = convolution_of(binding.graph, binding.node, binding.threads);
  const auto algorithm = find_algorithm(binding.algorithm);
  ATHANOR_CHECK(algorithm, "layer {}: there is no convolution algorithm '{}'", binding.node.layer, binding.algorithm);
  conv.algorithm = *algorithm;
  return conv;
}

/// Makes what the plan says, and nothing else.
std::shared_ptr<const ConvolutionPrimitive> planned_primitive(const Binding& binding, const Layout& x,
                                                              const Layout& weight, const Layout& y) {
  const auto made = make_convolution(planned_convolution(binding), x, y);
  ATHANOR_CHECK(made != nullptr, "layer {}: the {} of {} is planned as {}, which does not exist for {} -> {}",
                binding.node.layer, binding.algorithm, binding.node.op->name, binding.implementation, x, y);
  check_planned(binding, "implementation", binding.implementation, made->implementation);
  check_planned(binding, "weight layout", weight, made->weight_layout);
  return made;
}

bool is_own(std::string_view implementation) {
  return implementation.starts_with("athanor:");
}

Step bind_planned(const Binding& binding, const Layout& x, const Layout& weight, const Layout& y,
                  const ProductMemory& memory) {
  const Convolution conv = planned_convolution(binding);
  if (!is_own(binding.implementation)) {
    if (!conv.statistics) return candidate_of(conv, *planned_primitive(binding, x, weight, y)).bind(memory);
    const auto sliced =
        sliced_candidate(conv, {std::string(binding.algorithm), std::string(binding.implementation), x, weight, y});
    ATHANOR_CHECK(sliced, "layer {}: {} in slices does not exist for {} -> {}", binding.node.layer,
                  binding.implementation, x, y);
    return sliced->bind(memory);
  }
  for (const ProductCandidate& own : winograd_candidates(conv, x, y)) {
    if (own.implementation != binding.implementation) continue;
    check_planned(binding, "weight layout", weight, own.weight_layout);
    return own.bind(memory);
  }
  ATHANOR_CHECK(false, "layer {}: there is no {} for {} -> {}", binding.node.layer, binding.implementation, x, y);
}

/// oneDNN adds to what its output holds: the residual itself where the plan lets both share their bytes.
Step with_residual(const Binding& binding, Step run) {
  const void* residual = binding.inputs[kConvolutionResidual];
  void* y = binding.outputs[0];
  if (residual == y) return run;
  const Value& value = binding.output_value(0);
  return [dtype = value.dtype, count = stored_elements(value, binding.output_layouts[0]), threads = binding.threads,
          residual, y, run = std::move(run), copy = kernels::elementwise_kernels().cast] {
    copy(dtype, residual, dtype, y, count, threads);
    run();
  };
}

Step prepare_conv2d_forward(const Binding& binding) {
  Step run = bind_planned(binding, binding.input_layouts[0], binding.input_layouts[1], binding.output_layouts[0],
                          {.x = binding.inputs[0],
                           .weight = binding.inputs[1],
                           .bias = binding.has_input(2) ? binding.inputs[2] : nullptr,
                           .y = binding.outputs[0],
                           .sum = binding.output<void>(1),
                           .squares = binding.output<void>(2),
                           .scale = binding.input<void>(kConvolutionScale),
                           .shift = binding.input<void>(kConvolutionScale + 1),
                           .scratch = binding.scratch});
  return binding.has_input(kConvolutionResidual) ? with_residual(binding, std::move(run)) : run;
}

Step prepare_conv2d_backward_data(const Binding& binding) {
  constexpr std::size_t kNorm = kDataGradientNorm;
  return bind_planned(binding, binding.output_layouts[0], binding.input_layouts[1], binding.input_layouts[0],
                      {.x = binding.outputs[0],
                       .weight = binding.inputs[1],
                       .y = binding.inputs[0],
                       .sum = binding.output<void>(1),
                       .squares = binding.output<void>(2),
                       .residual = binding.input<void>(kDataGradientResidual),
                       .norm = {.x = binding.input<void>(kNorm),
                                .gamma = binding.input<float>(kNorm + 1),
                                .beta = binding.input<float>(kNorm + 2),
                                .mean = binding.input<float>(kNorm + 3),
                                .inv_std = binding.input<float>(kNorm + 4),
                                .y = binding.input<void>(kNorm + 5)},
                       .scratch = binding.scratch});
}

/// Steps that clear the gradients of blind taps: the bfloat16 kernels of oneDNN 2.6.3 leave garbage there.
std::vector<Step> clear_blind_taps(const Convolution& conv, const ConvolutionPrimitive& made, void* gradient) {
  std::vector<Step> steps;
  if (conv.dtype != DType::bf16) return steps;
  const Shape tap_shape{conv.weight[0], conv.weight[1], 1, 1};
  const dnnl::memory::desc zeros = describe(tap_shape, DType::f32, kPlain, conv.groups);
  const auto source = std::make_shared<std::vector<float>>(static_cast<std::size_t>(tap_shape.elements()));
  for (const auto& [h, w] : blind_taps(conv)) {
    dnnl::memory::dims offsets(dims_of(zeros).size(), 0);
    offsets[offsets.size() - 2] = h;
    offsets[offsets.size() - 1] = w;
    const dnnl::memory::desc tap = made.weight.submemory_desc(dims_of(zeros), offsets);
    const dnnl::reorder::primitive_desc desc(engine(), zeros, engine(), tap);
    const Step clear =
        bind_primitive(dnnl::reorder(desc), {{DNNL_ARG_FROM, zeros, source->data()}, {DNNL_ARG_TO, tap, gradient}});
    steps.push_back([source, clear] { clear(); });
  }
  return steps;
}

Step prepare_conv2d_backward_weights(const Binding& binding) {
  const Layout &x = binding.input_layouts[0], &weight = binding.output_layouts[0], &y = binding.input_layouts[1];
  Step run = bind_planned(binding, x, weight, y,
                          {.x = binding.inputs[0],
                           .weight = binding.outputs[0],
                           .bias = binding.outputs.size() > 1 ? binding.outputs[1] : nullptr,
                           .y = binding.inputs[1],
                           .scale = binding.input<void>(kWeightGradientScale),
                           .shift = binding.input<void>(kWeightGradientScale + 1),
                           .scratch = binding.scratch});
  if (is_own(binding.implementation)) return run;
  const std::vector<Step> clearing =
      clear_blind_taps(planned_convolution(binding), *planned_primitive(binding, x, weight, y), binding.outputs[0]);
  if (clearing.empty()) return run;
  return [run = std::move(run), clearing] {
    run();
    for (const Step& clear : clearing) clear();
  };
}

const RegisterCpuOp kConv2dForward{"conv2d", {choose_forward, prepare_conv2d_forward}};
const RegisterCpuOp kConv2dBackwardData{"conv2d_backward_data", {choose_backward_data, prepare_conv2d_backward_data}};
const RegisterCpuOp kConv2dBackwardWeights{"conv2d_backward_weights",
                                           {choose_backward_weights, prepare_conv2d_backward_weights}};

}  // namespace
}  // namespace athanor::cpu
