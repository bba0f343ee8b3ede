// The CPU's answers to the planning passes.
#pragma once

#include "backend/cpu/convolution_choices.h"
#include "graph/planner.h"

namespace athanor::cpu {

/// Chooses for teams of `threads`, and by measurement where it is given who does that, which outlives it; else by rules
/// alone. Throws DeviceError for an op that the CPU does not have.
class CpuPlanner : public BackendPlanner {
 public:
  explicit CpuPlanner(int threads, ConvolutionChoices* convolutions = nullptr, bool measures = true)
      : threads_(threads), convolutions_(convolutions), measures_(measures) {}
  /// Folds batch norms of evaluation into convolutions, fuses what stands round squeeze-and-excitation's scale, and
  /// lets convolutions do parts of the batch norms beside them: sums of what they write, in both directions, and, our
  /// own Winograd's, the normalisation of their input.
  Graph rewrite(Graph graph) override;
  NodeChoice choose(const Graph& graph, const Node& node, std::span<const Layout> inputs) override;
  std::string reorder_implementation(const Value& source, const Layout& from, const Value& target,
                                     const Layout& to) const override;
  std::size_t bytes(const Value& value, const Layout& layout) const override;

 private:
  int threads_;
  ConvolutionChoices* convolutions_;
  bool measures_;
};

}  // namespace athanor::cpu
