// What the planner asks a convolution.
#pragma once

#include "backend/cuda/engine_choice.h"
#include "graph/graph.h"

namespace athanor::cuda::ops {

/// Whether the convolution `node` (conv2d) should sum its output for a batch norm behind it: one in float16 that
/// nothing is fused to, with an engine that loses less by it than the norm's own pass would take. Untimed engines lose
/// nothing.
bool can_sum_output(const Graph& graph, const Node& node, EngineChoice& engines, Precision precision);

}  // namespace athanor::cuda::ops
