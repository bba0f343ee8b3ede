// Evaluation: a batch norm with running statistics is a scale and a shift of each channel, which the convolution before
// it takes into its weights and bias.
#pragma once

#include "graph/graph.h"

namespace athanor {

/// conv2d → batch_norm_inference (+ residual + ReLU, once fused) becomes fold_batch_norm, which reads parameters and
/// statistics alone, and conv2d with the residual as its fourth input. Where someone else reads the convolution's
/// output, or a node makes its weights, nothing changes. The values are the same but for rounding.
Graph fold_batch_norms(Graph graph);

}  // namespace athanor
