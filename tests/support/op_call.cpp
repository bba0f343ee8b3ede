#include "support/op_call.h"

#include <map>
#include <set>
#include <utility>

#include "config/complete_attributes.h"
#include "graph/op.h"

namespace athanor::testing {
namespace {

using reference::Tensor;

/// What the node says, complete: the reference's cases also hold what the graph has elsewhere, the run's seed and the
/// incoming gradient of a loss.
Attributes node_attributes(const std::string& op, const Attributes& given) {
  Attributes attributes;
  for (const auto& [name, value] : given.entries()) {
    if (name != "seed" && name != "scale") attributes.set(name, value);
  }
  const bool is_window = op.starts_with("max_pool2d") || op.starts_with("avg_pool2d");
  if (is_window && attributes.find("stride") == nullptr) attributes.set("stride", attributes.integers("kernel"));
  const std::string problem = complete_attributes(op_named(op).attributes, attributes);
  ATHANOR_CHECK(problem.empty(), "the reference's case of {}: {}", op, problem);
  return attributes;
}

/// The reference's cross_entropy_backward takes the incoming gradient as an attribute, the graph's as an input.
void lead_with_scale(OpCall& call, const Attributes& given) {
  const double scale = reference::attribute_or<double>(given, "scale", 1.0);
  call.inputs.insert(call.inputs.begin(), Tensor({1}, {scale}));
}

/// Where an op takes a residual, or what it made of one.
struct ResidualPlace {
  std::size_t place;
  std::size_t inputs;  ///< of the op
};
const std::map<std::string, ResidualPlace>& residual_places() {
  static const std::map<std::string, ResidualPlace> kPlaces{{"batch_norm", {3, 4}},
                                                            {"batch_norm_apply", {5, 6}},
                                                            {"batch_norm_inference", {5, 6}},
                                                            {"batch_norm_backward", {6, 8}},
                                                            {"batch_norm_sums", {6, 8}}};
  return kPlaces;
}

void place_residual(OpCall& call) {
  const auto found = residual_places().find(call.op);
  if (found == residual_places().end()) return;
  call.attributes.set("residual", call.inputs.size() > found->second.place);
  call.inputs.resize(found->second.inputs);
}

}  // namespace

OpCall op_call(const std::string& op, const reference::Case& given) {
  OpCall call{op, node_attributes(op, given.attributes), {given.inputs.begin(), given.inputs.end()}, 0};
  if (op == "conv2d" || op == "linear" || op == "cross_entropy") call.inputs.resize(3);
  if (op == "cross_entropy_backward") {
    lead_with_scale(call, given.attributes);
    call.inputs.resize(4);
  }
  if (op == "batch_norm_input_gradient") call.inputs.resize(8);
  place_residual(call);
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
  if (op == "fold_batch_norm" || op == "gather_shards" || op == "batch_norm_combine") return DType::f32;
  if (op == "batch_norm_backward" || op == "batch_norm_sums") return index < 2 || index > 5 ? compute : DType::f32;
  if (op == "batch_norm_input_gradient") return index < 2 || index > 6 ? compute : DType::f32;
  if (op == "batch_norm") return index == 0 || index == 3 ? compute : DType::f32;
  if (op == "batch_norm_factors") return index == 0 ? compute : DType::f32;
  if (op == "batch_norm_inference" || op == "batch_norm_apply") return index == 0 || index == 5 ? compute : DType::f32;
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
  for (double& value : tensor.values) {
    const auto number = static_cast<float>(value);
    if (dtype == DType::bf16) value = static_cast<double>(static_cast<float>(BFloat16(number)));
    if (dtype == DType::f16) value = static_cast<double>(static_cast<float>(Float16(number)));
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
