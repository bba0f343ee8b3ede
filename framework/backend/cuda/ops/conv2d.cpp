// conv2d and its gradients on a GPU: convolutions of cuDNN or our own engine, channels last.
#include "backend/cuda/ops/conv2d.h"

#include <algorithm>

#include "backend/cuda/direct_convolutions.h"
#include "backend/cuda/ops/convolution_layouts.h"
#include "backend/cuda/ops/product_op.h"
#include "base/error.h"
#include "graph/op.h"
#include "graph/ops/support.h"
#include "kernels/cuda/bias.h"
#include "kernels/cuda/reorder.h"

namespace athanor::cuda {
namespace {

constexpr std::string_view kConv = "conv", kConvBias = "conv+bias", kConvRelu = "conv+relu",
                           kConvBiasRelu = "conv+bias+relu", kConvStatistics = "conv+statistics";

using ops::images_layout, ops::input_layout, ops::weights_for;

/// The window and extents of a node; `x`: the layout of images, which decides how many channels and pixels there are in
/// memory, and which window runs over them.
ConvolutionSpec convolution_spec(const Graph& graph, const Node& node, Precision precision, const Layout& x) {
  const bool is_forward = node.op->name == "conv2d", is_data = node.op->name == "conv2d_backward_data";
  const Value& images = graph.value(is_data ? node.outputs[0] : node.inputs[0]);
  const Shape& y = graph.value(is_forward ? node.outputs[0] : is_data ? node.inputs[0] : node.inputs[1]).shape;
  const Shape& w = graph.value(is_forward || is_data ? node.inputs[1] : node.outputs[0]).shape;
  ConvolutionSpec spec;
  spec.direction = is_forward ? Direction::forward : is_data ? Direction::backward_data : Direction::backward_weights;
  spec.type = spec.gradient = images.dtype;
  spec.tf32 = precision.tf32 && images.dtype == DType::f32;
  spec.deterministic = precision.deterministic;
  spec.batch = images.shape[0];
  const kernels::cuda::ChannelOrder order = order_of(images.shape, x);
  spec.channels = order.channels;
  spec.height = order.height;
  spec.width = order.width;
  spec.out_channels = y[1];
  spec.out_height = y[2];
  spec.out_width = y[3];
  spec.groups = node.attributes.integer("groups");
  if (is_folded(x)) {
    const kernels::cuda::ChannelOrder folded = order_of(w, weights_for(x));
    spec.kernel = {folded.height, folded.width};
    return spec;
  }
  spec.kernel = {w[2], w[3]};
  spec.stride = athanor::ops::pair_of(node.attributes, "stride");
  spec.dilation = athanor::ops::pair_of(node.attributes, "dilation");
  spec.pad_begin = spec.pad_end = athanor::ops::pair_of(node.attributes, "padding");
  return spec;
}

Rows output_rows(const ConvolutionSpec& spec) {
  return {.samples = spec.batch, .pixels = spec.out_height * spec.out_width, .channels = spec.out_channels};
}

NodeChoice conv_choice(const CudaChooseContext& context, std::vector<Layout> inputs, const Layout& output,
                       const ConvolutionSpec& spec, const ChosenEngine& chosen, std::string_view algorithm) {
  NodeChoice choice = choose_plain(context, ops::product_implementation(spec, chosen));
  std::copy(inputs.begin(), inputs.end(), choice.inputs.begin());
  choice.outputs[0] = output;
  choice.scratch_bytes = chosen.workspace_bytes;
  choice.algorithm = algorithm;
  return choice;
}

ConvolutionSpec with_statistics(ConvolutionSpec spec) {
  spec.statistics = true;
  return spec;
}

/// What a batch norm's own pass over its input would take: a launch, then a read at about the rate of an H100's memory.
double sum_pass_seconds(DType type, const Rows& rows) {
  constexpr double kLaunchSeconds = 2e-6, kBytesPerSecond = 3.5e12;
  const double bytes = static_cast<double>(rows.rows() * rows.channels) * static_cast<double>(size_of(type));
  return kLaunchSeconds + bytes / kBytesPerSecond;
}

std::string_view fused_conv_name(bool bias, bool relu) {
  return bias ? (relu ? kConvBiasRelu : kConvBias) : (relu ? kConvRelu : kConv);
}

/// All in one product where cuDNN can and that is not slower; else the convolution alone, and a pass of our own.
NodeChoice choose_conv_forward(const CudaChooseContext& context) {
  const Node& node = context.node;
  const Layout x = images_layout(context.graph, node, context.inputs[0]);
  const ConvolutionSpec alone = convolution_spec(context.graph, node, context.precision, x);
  if (context.has_output(1)) {
    const ConvolutionSpec summing = with_statistics(alone);
    return conv_choice(context, {x, weights_for(x)}, kNhwc, summing, ops::required_engine(context, summing),
                       kConvStatistics);
  }
  ConvolutionSpec fused = alone;
  fused.bias = ops::wants_bias(node);
  fused.relu = has_relu(node);
  const auto choice = [&](const ConvolutionSpec& spec, const ChosenEngine& chosen) {
    return conv_choice(context, {x, weights_for(x)}, kNhwc, spec, chosen, fused_conv_name(spec.bias, spec.relu));
  };
  if (fused == alone) return choice(alone, ops::required_engine(context, alone));
  const ChosenEngine* whole = context.engines.choose(fused);
  if (whole == nullptr) return choice(alone, ops::required_engine(context, alone));
  const ChosenEngine* part = whole->seconds > 0 ? context.engines.choose(alone) : nullptr;
  const bool is_slower = part != nullptr && part->seconds > 0 &&
                         part->seconds + ops::add_bias_seconds(alone.type, output_rows(alone)) < whole->seconds;
  return is_slower ? choice(alone, *part) : choice(fused, *whole);
}

Step prepare_conv_forward(const CudaBinding& b) {
  ConvolutionSpec spec = convolution_spec(b.graph, b.node, b.precision, b.input_layouts[0]);
  if (b.algorithm == kConvStatistics) {
    return ops::run_product(b, with_statistics(spec),
                            {b.inputs[0], b.inputs[1], b.outputs[0], b.outputs[1], b.outputs[2]}, b.scratch);
  }
  const bool bias = ops::wants_bias(b.node), relu = has_relu(b.node);
  const bool is_fused = b.algorithm != kConv;
  ATHANOR_CHECK(!is_fused || b.algorithm == fused_conv_name(bias, relu), "layer {}: conv2d is planned as {}",
                b.node.layer, b.algorithm);
  std::vector<void*> tensors{b.inputs[0], b.inputs[1], b.outputs[0]};
  if (is_fused) {
    spec.bias = bias;
    spec.relu = relu;
    if (bias) tensors.push_back(b.inputs[2]);
    return ops::run_product(b, spec, std::move(tensors), b.scratch);
  }
  return ops::in_order(
      {ops::run_product(b, spec, std::move(tensors), b.scratch),
       ops::add_bias(b, spec.type, output_rows(spec), b.outputs[0], bias ? b.input<float>(2) : nullptr, relu)});
}

NodeChoice choose_conv_backward_data(const CudaChooseContext& context) {
  const ConvolutionSpec spec = convolution_spec(context.graph, context.node, context.precision, kNhwc);
  return conv_choice(context, {kNhwc, kOhwi}, kNhwc, spec, ops::required_engine(context, spec), kConv);
}

Step prepare_conv_backward_data(const CudaBinding& b) {
  const ConvolutionSpec spec = convolution_spec(b.graph, b.node, b.precision, kNhwc);
  return ops::run_product(b, spec, {b.inputs[0], b.inputs[1], b.outputs[0]}, b.scratch);
}

/// What an engine writes: our own knows float32, as the graph wants it, and then it need not round.
ConvolutionSpec with_gradient_of(ConvolutionSpec spec, std::string_view engine) {
  if (is_own_engine(engine)) spec.gradient = DType::f32;
  return spec;
}

/// The gradient as the engine writes it, where that is not what the graph wants: float32 without padding. 0: it is.
std::size_t staged_bytes(const ConvolutionSpec& spec, const Layout& x) {
  return spec.gradient == DType::f32 && !is_padded(x) ? 0 : ops::align_scratch(tensor_bytes(spec)[2]);
}

/// The sums of the bias run after the product and reuse its workspace.
NodeChoice choose_conv_backward_weights(const CudaChooseContext& context) {
  const Node& node = context.node;
  const Layout x = images_layout(context.graph, node, context.inputs[0]);
  const ConvolutionSpec plain = convolution_spec(context.graph, node, context.precision, x);
  const ChosenEngine& chosen = ops::required_engine(context, plain);
  const ConvolutionSpec spec = with_gradient_of(plain, chosen.engine);
  NodeChoice choice = conv_choice(context, {x, kNhwc}, kOhwi, spec, chosen, kConv);
  if (context.has_output(1)) {
    const Rows rows = output_rows(spec);
    choice.scratch_bytes =
        std::max(choice.scratch_bytes, kernels::cuda::column_sums_scratch_bytes(spec.type, rows.rows(), rows.channels));
  }
  choice.scratch_bytes += staged_bytes(spec, x);
  choice.beside = ops::leaves_room(chosen);
  return choice;
}

/// From the engine's gradient, in the layout of weights that goes with x's, to [O, KH, KW, C] in float32.
Step take_gradient(const CudaBinding& b, const ConvolutionSpec& spec, const void* staged) {
  const Shape& w = b.output_value(0).shape;
  const kernels::cuda::Reorder arguments{.from = spec.gradient,
                                         .to = DType::f32,
                                         .x = staged,
                                         .y = b.outputs[0],
                                         .batch = w[0],
                                         .channels = w[1],
                                         .height = w[2],
                                         .width = w[3],
                                         .source = order_of(w, weights_for(b.input_layouts[0])),
                                         .target = order_of(w, kOhwi)};
  return [arguments, &device = b.device](Stream stream) { launch(device, arguments, stream); };
}

Step prepare_conv_backward_weights(const CudaBinding& b) {
  const ConvolutionSpec spec =
      with_gradient_of(convolution_spec(b.graph, b.node, b.precision, b.input_layouts[0]), b.implementation);
  const std::size_t staged = staged_bytes(spec, b.input_layouts[0]);
  void* workspace = static_cast<std::byte*>(b.scratch) + staged;
  void* dw = staged == 0 ? b.outputs[0] : b.scratch;
  std::vector<Step> steps{ops::run_product(b, spec, {b.inputs[0], b.inputs[1], dw}, workspace)};
  if (staged != 0) steps.push_back(take_gradient(b, spec, dw));
  if (b.has_output(1))
    steps.push_back(ops::sum_columns(b, spec.type, output_rows(spec), b.inputs[1], b.output<float>(1), workspace));
  return ops::in_order(std::move(steps));
}

const RegisterCudaOp kConv2dForward{"conv2d", {choose_conv_forward, prepare_conv_forward}};
const RegisterCudaOp kConv2dBackwardData{"conv2d_backward_data",
                                         {choose_conv_backward_data, prepare_conv_backward_data}};
const RegisterCudaOp kConv2dBackwardWeights{"conv2d_backward_weights",
                                            {choose_conv_backward_weights, prepare_conv_backward_weights}};

}  // namespace

bool ops::can_sum_output(const Graph& graph, const Node& node, EngineChoice& engines, Precision precision) {
  const Value& x = graph.value(node.inputs[0]);
  if (x.dtype != DType::f16 || wants_bias(node) || has_relu(node)) return false;
  // Layouts are not chosen yet: those of a network's input and of what other nodes make are known all the same, but for
  // few channels that some node makes.
  const bool is_image = x.producer >= 0 && graph.node(x.producer).op->name == "prepare_input";
  const Layout layout = is_image ? input_layout(graph, node.inputs[0]) : images_layout(graph, node, {});
  if (!is_image && layout != kNhwc) return false;
  const ConvolutionSpec alone = convolution_spec(graph, node, precision, layout);
  const ChosenEngine* summing = engines.choose(with_statistics(alone));
  if (summing == nullptr) return false;
  const ChosenEngine* plain = summing->seconds > 0 ? engines.choose(alone) : nullptr;
  return plain == nullptr || plain->seconds == 0 ||
         summing->seconds <= plain->seconds + sum_pass_seconds(alone.type, output_rows(alone));
}

}  // namespace athanor::cuda
