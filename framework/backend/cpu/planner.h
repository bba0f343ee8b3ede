// The CPU's answers to the planning passes.
#pragma once

#include "graph/planner.h"

namespace athanor::cpu {

/// Chooses for teams of `threads`. Throws DeviceError for an op that the CPU does not have.
class CpuPlanner : public BackendPlanner {
 public:
  explicit CpuPlanner(int threads) : threads_(threads) {}
  /// Folds batch norms of evaluation into convolutions, and fuses what stands round squeeze-and-excitation's scale.
  Graph rewrite(Graph graph) override;
  NodeChoice choose(const Graph& graph, const Node& node, std::span<const Layout> inputs) override;
  std::string reorder_implementation(const Value& source, const Layout& from, const Value& target,
                                     const Layout& to) const override;
  std::size_t bytes(const Value& value, const Layout& layout) const override;

 private:
  int threads_;
};

}  // namespace athanor::cpu
