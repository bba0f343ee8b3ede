#include "backend/cuda/relu_masks.h"

#include <fmt/format.h>

#include "graph/op.h"

namespace athanor::cuda {
namespace {

// Positions in the inputs and outputs of batch_norm and batch_norm_backward; see graph/ops/batch_norm.cpp.
constexpr std::size_t kOutputs = 5, kBackwardY = 6, kBackwardInputs = 8;
constexpr std::int64_t kBits = 8;

bool can_mask(const Graph& graph, ValueId y) {
  const Value& value = graph.value(y);
  const bool has_16_bits = value.dtype == DType::f16 || value.dtype == DType::bf16;
  if (!has_16_bits || value.shape[1] % kBits != 0 || value.producer < 0) return false;
  const Node& norm = graph.node(value.producer);
  return norm.op->name == "batch_norm" && norm.outputs[0] == y && norm.outputs.size() == kOutputs;
}

ValueId add_mask(Graph& graph, ValueId y) {
  const auto mask = static_cast<ValueId>(graph.values.size());
  const Value value = graph.value(y);
  graph.values.push_back({.name = fmt::format("{}.mask", value.name),
                          .shape = {value.shape.elements() / kBits},
                          .dtype = DType::u8,
                          .role = Role::computed,
                          .producer = value.producer});
  graph.nodes[static_cast<std::size_t>(value.producer)].outputs.push_back(mask);
  return mask;
}

}  // namespace

Graph mask_relus(Graph graph) {
  for (Node& gradient : graph.nodes) {
    if (gradient.op->name != "batch_norm_backward" || !gradient.attributes.flag("residual")) continue;
    gradient.inputs.resize(kBackwardInputs, kNoValue);
    const ValueId y = gradient.inputs[kBackwardY];
    if (y == kNoValue || !can_mask(graph, y)) continue;
    gradient.inputs[kBackwardY] = kNoValue;
    gradient.inputs.push_back(add_mask(graph, y));
  }
  return graph;
}

}  // namespace athanor::cuda
