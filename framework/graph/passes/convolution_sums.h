// A batch norm reads its input twice: once for its statistics. Where a convolution makes that input, it can add up its
// output while it writes it.
#pragma once

#include <functional>

#include "graph/graph.h"

namespace athanor {

/// Whether a back end runs this conv2d in a way that can sum its output.
using CanSumOutput = std::function<bool(const Graph& graph, const Node& conv)>;

/// Every convolution before a batch_norm that can sums its output (attribute `statistics`, two more outputs), and the
/// norm takes the sums. Nothing else changes: not the backward nodes, not what is counted as work. The sums are
/// float32, so the statistics of a channel whose mean is far from 0 for its deviation have fewer digits than the
/// norm's own.
Graph sum_in_convolutions(Graph graph, const CanSumOutput& can_sum);

}  // namespace athanor
