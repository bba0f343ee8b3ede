// Merges chains of ops that one kernel runs in one pass over memory.
#pragma once

#include "graph/graph.h"

namespace athanor {

/// Forward: conv2d + relu, linear + relu, batch_norm + relu, batch_norm + add + relu (and the same with
/// batch_norm_inference and batch_norm_apply). Backward: relu_backward into batch_norm_backward, which then also gives
/// the gradient of the residual, and the sum of two gradients into the batch_norm_backward that alone reads it; and the
/// same with the two passes of a synchronised norm, batch_norm_sums and batch_norm_input_gradient. A relu_backward of
/// what max_pool2d pooled masks before max_pool2d_backward instead of behind it. Works on a graph with or without its
/// backward pass; the results are those of the unfused graph.
Graph fuse(Graph graph);

}  // namespace athanor
