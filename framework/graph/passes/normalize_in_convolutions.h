// A batch norm reads its input and writes it again, normalised, for the convolution behind it. Where that convolution
// can normalise while it reads, the second pass over memory goes, and the activation that it wrote.
#pragma once

#include <functional>

#include "graph/graph.h"

namespace athanor {

/// Whether a back end runs this conv2d or conv2d_backward_weights in a way that can scale and shift its input.
using CanNormalizeInput = std::function<bool(const Graph& graph, const Node& convolution)>;

/// A batch_norm without a residual whose output is read as their input by such convolutions and gradients of weights
/// alone becomes batch_norm_factors; they take its scale and shift, and its ReLU as `input_relu`. Every number that is
/// still computed has the same bits.
Graph normalize_in_convolutions(Graph graph, const CanNormalizeInput& can_normalize);

}  // namespace athanor
