// The implementations of one convolution or matrix product of a plan, oneDNN's over all layouts that this back end
// knows and our own: what the ceiling chooses from.
#pragma once

#include <string>
#include <vector>

#include "backend/cpu/product_candidate.h"
#include "graph/graph.h"

namespace athanor::cpu {

/// A way to compute a product, for the ceiling's table.
struct Candidate {
  ProductCandidate product;
  std::string layouts;      ///< "nChw16c -> nChw16c": of x and y
  bool is_planned = false;  ///< what the planner's rule takes; the ceiling then looks at what was measured
};

/// Names what a product computes: two nodes with the same key can be run by the same primitive.
std::string product_key(const Graph& graph, const Node& node, int threads);
/// For teams of `threads`. Reference code is left out unless there is nothing else.
std::vector<Candidate> product_candidates(const Graph& graph, const Node& node, int threads);

}  // namespace athanor::cpu
