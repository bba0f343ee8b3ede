#include "graph/passes/dead_code.h"

#include <algorithm>

namespace athanor {

Graph remove_dead_code(Graph graph) {
  std::vector<bool> live(graph.values.size(), false);
  for (const ValueId root : graph.roots()) live[static_cast<std::size_t>(root)] = true;
  std::vector<Node> kept;
  for (auto node = graph.nodes.rbegin(); node != graph.nodes.rend(); ++node) {
    const bool is_live = std::any_of(node->outputs.begin(), node->outputs.end(), [&](ValueId output) {
      return output != kNoValue && live[static_cast<std::size_t>(output)];
    });
    if (!is_live) continue;
    for (const ValueId input : node->inputs) {
      if (input != kNoValue) live[static_cast<std::size_t>(input)] = true;
    }
    kept.push_back(std::move(*node));
  }
  std::reverse(kept.begin(), kept.end());
  graph.nodes = std::move(kept);
  refresh_producers(graph);
  return graph;
}

}  // namespace athanor
