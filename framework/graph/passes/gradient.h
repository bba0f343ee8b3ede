// Reverse-mode differentiation: adds to the graph the nodes that compute the gradient of its loss.
#pragma once

#include <span>
#include <vector>

#include "graph/graph.h"

namespace athanor {

/// Adds the backward pass of `graph.loss` and fills `graph.gradients`, one per parameter that the loss depends on, in
/// the order in which backward finishes them. The loss is seeded with `scale` (1 / shards: shard gradients then sum to
/// the gradient of the mean). Gradients of a value that is read more than once are summed by `add` nodes.
Graph differentiate(Graph graph, double scale = 1.0);

/// The same for any outputs and inputs, for tests: `seeds[i]` is a value of the graph that holds d loss / d outputs[i];
/// returns the graph and, through `gradients`, the gradient of each of `wrt` (kNoValue if none flows).
Graph differentiate(Graph graph, std::span<const ValueId> outputs, std::span<const ValueId> seeds,
                    std::span<const ValueId> wrt, std::vector<ValueId>& gradients);

}  // namespace athanor
