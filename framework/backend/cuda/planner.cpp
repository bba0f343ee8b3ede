#include "backend/cuda/planner.h"

#include "backend/cuda/narrow_indices.h"
#include "backend/cuda/ops/conv2d.h"
#include "backend/cuda/relu_masks.h"
#include "base/error.h"
#include "graph/op.h"
#include "graph/passes/convolution_sums.h"

namespace athanor::cuda {

Graph CudaPlanner::rewrite(Graph graph) {
  const auto can_sum = [&](const Graph& of, const Node& conv) {
    return ops::can_sum_output(of, conv, engines_, precision_);
  };
  return narrow_indices(mask_relus(sum_in_convolutions(std::move(graph), can_sum)));
}

NodeChoice CudaPlanner::choose(const Graph& graph, const Node& node, std::span<const Layout> inputs) {
  const CudaOp* op = find_cuda_op(node.op->name);
  if (op == nullptr) throw DeviceError("layer {}: the CUDA back end has no op '{}'", node.layer, node.op->name);
  return op->choose({{graph, node, inputs}, engines_, precision_});
}

std::string CudaPlanner::reorder_implementation(const Value&, const Layout&, const Value&, const Layout&) const {
  return own_implementation("reorder");
}

std::size_t CudaPlanner::bytes(const Value& value, const Layout& layout) const {
  return static_cast<std::size_t>(stored_elements(value, layout)) * size_of(value.dtype);
}

}  // namespace athanor::cuda
