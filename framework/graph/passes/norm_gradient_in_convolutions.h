// The gradient of a batch norm reads what comes in twice: once for its sums. Where a convolution's gradient makes that
// input, it can mask it by the norm's ReLU and add it up while it writes it.
#pragma once

#include <functional>

#include "graph/graph.h"

namespace athanor {

/// Whether a back end runs this conv2d_backward_data in a way that can do so.
using CanBeginNormGradient = std::function<bool(const Graph& graph, const Node& gradient)>;

/// Where such a gradient is read by a batch_norm_backward alone, it takes over the ReLU's mask, the sum with a second
/// gradient, behind which it then stands, and the sums (attribute `statistics`); the norm takes the sums. The gradient
/// of a residual is then what the convolution writes. Sums are rounded to float32 on their way to the norm.
Graph begin_norm_gradients_in_convolutions(Graph graph, const CanBeginNormGradient& can_begin);

}  // namespace athanor
