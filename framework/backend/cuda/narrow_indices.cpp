#include "backend/cuda/narrow_indices.h"

#include <algorithm>

#include "graph/op.h"

namespace athanor::cuda {
namespace {

constexpr std::size_t kIndices = 1;
constexpr std::int64_t kMostPlaces = 256;

bool is_for_gradient_alone(const Graph& graph, ValueId indices) {
  const std::vector<ValueId> roots = graph.roots();
  if (std::find(roots.begin(), roots.end(), indices) != roots.end()) return false;
  return std::all_of(graph.nodes.begin(), graph.nodes.end(), [&](const Node& node) {
    const bool reads = std::find(node.inputs.begin(), node.inputs.end(), indices) != node.inputs.end();
    return !reads || node.op->name == "max_pool2d_backward";
  });
}

}  // namespace

Graph narrow_indices(Graph graph) {
  for (const Node& node : graph.nodes) {
    if (node.op->name != "max_pool2d" || node.outputs[kIndices] == kNoValue) continue;
    const std::vector<std::int64_t>& kernel = node.attributes.integers("kernel");
    if (kernel.front() * kernel.back() > kMostPlaces) continue;
    if (is_for_gradient_alone(graph, node.outputs[kIndices])) graph.value(node.outputs[kIndices]).dtype = DType::u8;
  }
  return graph;
}

}  // namespace athanor::cuda
