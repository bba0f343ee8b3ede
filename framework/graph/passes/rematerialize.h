// Trades memory for time: values that forward makes and backward reads are not kept in between, but made again.
#pragma once

#include <vector>

#include "graph/passes/layout.h"

namespace athanor {

/// What makes values again: a node of the graph, and how the back end runs it.
struct Remake {
  Node node;          ///< its outputs are those values
  NodeChoice choice;  ///< with the layouts of the graph
};

/// How the graph's node `id` makes `value` again: by the op's rule where that gives the value's layout, else as it is.
Remake remake(const LaidOutGraph& laid_out, NodeId id, ValueId value, BackendPlanner& planner);

/// Per node: whether parameters and constants alone make what it makes, so that it runs once a step for all shards.
std::vector<bool> find_hoisted(const Graph& graph);
/// First node of backward that runs once a shard, or their number where there is none.
NodeId first_of_backward(const Graph& graph);

/// `dropped`, per value: it is made again right before its first reader in backward, from what is kept and from what
/// has been made again before; all later readers share it. Forward and every value's number stay as they are, and so do
/// all bits: a node is made again with the layouts and the implementation that it had.
LaidOutGraph rematerialize(const LaidOutGraph& laid_out, const std::vector<bool>& dropped, BackendPlanner& planner);

}  // namespace athanor
