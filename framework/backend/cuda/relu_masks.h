// The gradient of a batch norm with residual and ReLU needs of its output only where it was positive: a bit an element
// instead of 16.
#pragma once

#include "graph/graph.h"

namespace athanor::cuda {

/// Every 16-bit batch_norm with a residual gives the mask of its ReLU as one more output (u8 [elements / 8], see
/// kernels/cuda/batch_norm.h), and its gradient reads that instead of the output. No bit of a result changes.
Graph mask_relus(Graph graph);

}  // namespace athanor::cuda
