#include "backend/cpu/planner.h"

#include "backend/cpu/onednn.h"
#include "backend/cpu/op.h"
#include "backend/cpu/ops/support.h"
#include "backend/cpu/sliced_convolution.h"
#include "base/error.h"
#include "graph/op.h"
#include "graph/passes/convolution_sums.h"
#include "graph/passes/fold_batch_norm.h"
#include "graph/passes/fuse_squeeze_excite.h"
#include "graph/passes/norm_gradient_in_convolutions.h"
#include "graph/passes/normalize_in_convolutions.h"

namespace athanor::cpu {

Graph CpuPlanner::rewrite(Graph graph) {
  const auto can = [&](bool Convolution::*fusion) {
    return [this, fusion](const Graph& of, const Node& node) {
      if (convolutions_ == nullptr) return false;
      Convolution conv = convolution_of(of, node, threads_);
      conv.*fusion = true;
      return fused_candidate(conv, *convolutions_, measures_).has_value();
    };
  };
  graph = sum_in_convolutions(fuse_squeeze_excite(fold_batch_norms(std::move(graph))), can(&Convolution::statistics));
  graph = normalize_in_convolutions(std::move(graph), can(&Convolution::normalized));
  return begin_norm_gradients_in_convolutions(std::move(graph), can(&Convolution::statistics));
}

NodeChoice CpuPlanner::choose(const Graph& graph, const Node& node, std::span<const Layout> inputs) {
  const CpuOp* op = find_cpu_op(node.op->name);
  if (op == nullptr) throw DeviceError("layer {}: the CPU back end has no op '{}'", node.layer, node.op->name);
  const TeamSize team(threads_);
  return op->choose({{graph, node, inputs, threads_}, convolutions_, measures_});
}

std::string CpuPlanner::reorder_implementation(const Value& source, const Layout& from, const Value& target,
                                               const Layout& to) const {
  const TeamSize team(threads_);
  return implementation_of_reorder(source, from, target, to);
}

std::size_t CpuPlanner::bytes(const Value& value, const Layout& layout) const {
  return layout.empty() ? dense_bytes(value) : layout_bytes(value, layout);
}

}  // namespace athanor::cpu
