// Decides in which order each value lies in memory, and inserts reorders only where two neighbours disagree.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "graph/graph.h"
#include "graph/planner.h"

namespace athanor {

struct LaidOutGraph {
  Graph graph;                      ///< with `reorder` nodes
  std::vector<Layout> layouts;      ///< per value
  std::vector<NodeChoice> choices;  ///< per node
};

/// Walks the graph once in order. A parameter takes the layout that its first reader asks for (through a cast: that of
/// its gradient), unless `fixed` names one for it; every other disagreement is mended by one reorder per (value,
/// layout). A gradient ends in its parameter's layout.
LaidOutGraph propagate_layouts(Graph graph, BackendPlanner& planner, const std::map<std::string, Layout>& fixed = {});

}  // namespace athanor
