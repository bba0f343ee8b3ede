// Removes what nobody reads.
#pragma once

#include "graph/graph.h"

namespace athanor {

/// Drops every node none of whose outputs leads to a root of the graph (loss, outputs, gradients, statistics, metrics).
/// Values keep their numbers, so ids held by the caller stay valid.
Graph remove_dead_code(Graph graph);

}  // namespace athanor
