// The GPU's answers to the planning passes.
#pragma once

#include "backend/cuda/op.h"
#include "graph/planner.h"

namespace athanor::cuda {

/// Throws DeviceError for an op or a shape that the GPU cannot run.
class CudaPlanner : public BackendPlanner {
 public:
  /// `engines` must outlive this.
  CudaPlanner(EngineChoice& engines, Precision precision) : engines_(engines), precision_(precision) {}
  /// Convolutions sum their outputs for the batch norms behind them, see convolution_sums.h; what backward
  /// reads of ReLUs and max pooling is narrowed, see relu_masks.h and narrow_indices.h.
  Graph rewrite(Graph graph) override;
  NodeChoice choose(const Graph& graph, const Node& node, std::span<const Layout> inputs) override;
  std::string reorder_implementation(const Value& source, const Layout& from, const Value& target,
                                     const Layout& to) const override;
  std::size_t bytes(const Value& value, const Layout& layout) const override;

 private:
  EngineChoice& engines_;
  Precision precision_;
};

}  // namespace athanor::cuda
