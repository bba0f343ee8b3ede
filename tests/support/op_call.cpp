#include "support/op_call.h"

#include <set>
#include <utility>

namespace athanor::testing {
namespace {

using reference::Tensor;

void set_default(Attributes& attributes, std::string_view name, AttributeValue value) {
  if (attributes.find(name) == nullptr) attributes.set(name, std::move(value));
}

void fill_attributes(const std::string& op, Attributes& attributes) {
  using List = std::vector<std::int64_t>;
  if (op.starts_with("conv2d")) {
    set_default(attributes, "stride", List{1, 1});
    set_default(attributes, "padding", List{0, 0});
    set_default(attributes, "dilation", List{1, 1});
    set_default(attributes, "groups", std::int64_t{1});
  }
  if (op == "conv2d" || op == "linear" || op.starts_with("batch_norm")) {
    set_default(attributes, "activation", std::string("none"));
  }
  if (op.ends_with("_norm") || op.starts_with("batch_norm")) set_default(attributes, "eps", 1e-5);
  if (op.ends_with("_backward_weights")) set_default(attributes, "bias", false);
  if (op.starts_with("max_pool2d") || op.starts_with("avg_pool2d")) {
    set_default(attributes, "stride", attributes.integers("kernel"));
    set_default(attributes, "padding", List{0, 0});
  }
  if (op.starts_with("avg_pool2d")) set_default(attributes, "count_include_pad", true);
  if (op.starts_with("gelu")) set_default(attributes, "approximate", std::string("none"));
  if (op.starts_with("leaky_relu")) set_default(attributes, "slope", 0.01);
  if (op.starts_with("cross_entropy")) set_default(attributes, "label_smoothing", 0.0);
}

/// The reference's cross_entropy_backward takes the incoming gradient as an attribute, the graph's as an input.
void lead_with_scale(OpCall& call) {
  const double scale = reference::attribute_or<double>(call.attributes, "scale", 1.0);
  call.inputs.insert(call.inputs.begin(), Tensor({1}, {scale}));
}

void place_residual(OpCall& call) {
  const std::size_t place = call.op == "batch_norm" ? 3 : call.op == "batch_norm_inference" ? 5 : 6;
  call.attributes.set("residual", call.inputs.size() > place);
  call.inputs.resize(place == 6 ? 8 : place + 1);
}

}  // namespace

OpCall op_call(const std::string& op, const reference::Case& given) {
  OpCall call{op, given.attributes, {given.inputs.begin(), given.inputs.end()}, 0};
  fill_attributes(op, call.attributes);
  if (op == "conv2d" || op == "linear" || op == "cross_entropy") call.inputs.resize(3);
  if (op == "cross_entropy_backward") {
    lead_with_scale(call);
    call.inputs.resize(4);
  }
  if (op.starts_with("batch_norm")) place_residual(call);
  call.seed = static_cast<std::uint64_t>(reference::attribute_or<std::int64_t>(given.attributes, "seed", 0));
  return call;
}

DType operand_dtype(const std::string& op, std::size_t index, DType compute) {
  using Operand = std::pair<std::string, std::size_t>;
  static const std::set<Operand> kLabels{
      {"cross_entropy", 1}, {"cross_entropy_backward", 2}, {"count_correct", 1}, {"one_hot", 0}};
  if (kLabels.contains({op, index})) return DType::i32;
  if (op == "prepare_input") return DType::u8;
  if (op == "cast") return DType::f32;
  if (op == "dropout" || op == "stochastic_depth") return index == 0 ? compute : DType::i64;
  if (op == "batch_norm_backward") return index < 2 || index > 5 ? compute : DType::f32;
  if (op == "batch_norm") return index == 0 || index == 3 ? compute : DType::f32;
  if (op == "batch_norm_inference") return index == 0 || index == 5 ? compute : DType::f32;
  if (op == "cross_entropy_backward") return index == 1 ? compute : DType::f32;
  if (op.ends_with("_norm") || op == "cross_entropy") return index == 0 ? compute : DType::f32;
  if (op == "conv2d" || op == "linear") return index < 2 ? compute : DType::f32;
  return compute;
}

bool is_image(const std::string& op, std::size_t index, const Tensor& operand) {
  if (operand.shape.size() != 4 || op == "prepare_input") return false;
  return index != 1 || (op != "conv2d" && op != "conv2d_backward_data");
}

Tensor rounded(Tensor tensor, DType dtype) {
  if (dtype != DType::bf16) return tensor;
  for (double& value : tensor.values) {
    value = static_cast<double>(static_cast<float>(BFloat16(static_cast<float>(value))));
  }
  return tensor;
}

reference::Case rounded_operands(const std::string& op, reference::Case given, DType compute) {
  // The incoming gradient of cross_entropy_backward is an attribute of the case.
  const std::size_t first = op == "cross_entropy_backward" ? 1 : 0;
  for (std::size_t i = 0; i < given.inputs.size(); ++i) {
    given.inputs[i] = rounded(std::move(given.inputs[i]), operand_dtype(op, first + i, compute));
  }
  return given;
}

void to_reference_outputs(const OpCall& call, std::vector<Tensor>& outputs) {
  if (call.op != "max_pool2d") return;
  const auto& kernel = call.attributes.integers("kernel");
  const auto& stride = call.attributes.integers("stride");
  const auto& padding = call.attributes.integers("padding");
  const std::int64_t width = call.inputs[0]->shape[3];
  Tensor& indices = outputs[1];
  for (std::int64_t e = 0; e < indices.elements(); ++e) {
    const std::int64_t ow = e % indices.shape[3], oh = e / indices.shape[3] % indices.shape[2];
    const auto place = static_cast<std::int64_t>(indices[e]);
    const std::int64_t ih = oh * stride[0] - padding[0] + place / kernel[1];
    const std::int64_t iw = ow * stride[1] - padding[1] + place % kernel[1];
    indices[e] = static_cast<double>(ih * width + iw);
  }
}

}  // namespace athanor::testing
