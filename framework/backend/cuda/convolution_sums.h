// A batch norm reads its input twice: once for its statistics. Where a convolution makes that input, it can add up its
// output while it writes it.
#pragma once

#include "backend/cuda/engine_choice.h"
#include "graph/graph.h"

namespace athanor::cuda {

/// Every convolution before a batch_norm that can sums its output (attribute `statistics`, two more outputs), and the
/// norm takes the sums. Nothing else changes: not the backward nodes, not what is counted as work. The sums are
/// float32, so the statistics of a channel whose mean is far from 0 for its deviation have fewer digits than the
/// norm's own.
Graph sum_in_convolutions(Graph graph, EngineChoice& engines, Precision precision);

}  // namespace athanor::cuda
