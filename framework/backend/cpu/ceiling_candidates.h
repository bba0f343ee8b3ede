// The implementations that oneDNN has for one convolution or matrix product of a plan, over all layouts that this back
// end knows: what the ceiling chooses from.
#pragma once

#include <oneapi/dnnl/dnnl.hpp>

#include <string>
#include <utility>
#include <vector>

#include "graph/graph.h"

namespace athanor::cpu {

/// A primitive with what it reads and writes, not bound to memory yet.
struct Candidate {
  dnnl::primitive primitive;
  std::vector<std::pair<int, dnnl::memory::desc>> inputs;   ///< argument index, descriptor
  std::vector<std::pair<int, dnnl::memory::desc>> outputs;  ///< argument index, descriptor
  dnnl::memory::desc scratch;
  std::string implementation;  ///< "onednn:jit:avx512_common"
  std::string layouts;         ///< "nChw16c -> nChw16c": of x and y
  bool is_planned = false;     ///< what the planner takes where it is free to choose
};

/// Names what a product computes: two nodes with the same key can be run by the same primitive.
std::string product_key(const Graph& graph, const Node& node, int threads);
/// For teams of `threads`. Reference code is left out unless there is nothing else.
std::vector<Candidate> product_candidates(const Graph& graph, const Node& node, int threads);

}  // namespace athanor::cpu
