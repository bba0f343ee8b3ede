// Max pooling keeps the place of each maximum for its gradient: one byte holds it.
#pragma once

#include "graph/graph.h"

namespace athanor::cuda {

/// The places that max_pool2d gives are u8 where windows have at most 256 elements and its gradient alone reads them.
Graph narrow_indices(Graph graph);

}  // namespace athanor::cuda
