// Squeeze-and-excitation at the end of a residual block: what stands round its scale is done in the scale's passes over
// memory.
#pragma once

#include "graph/graph.h"

namespace athanor {

/// Forward: scale + add + relu become one scale. Backward: add + relu_backward + scale_backward +
/// global_avg_pool_backward + add become scale_sums, which masks and gives the gradient of s, and, once that of the
/// pool is there, one scale with a shift. Works on a graph with or without its backward pass; the values are the same
/// but for rounding.
Graph fuse_squeeze_excite(Graph graph);

}  // namespace athanor
