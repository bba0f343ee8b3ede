// What the passes ask a back end when a plan is made: in which layout each op reads and writes, and with which
// implementation. Nothing here runs anything.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "graph/graph.h"

namespace athanor {

/// The order of a value's elements in memory. "plain" is row-major in logical order (NCHW, OIHW, [N, F]); other names
/// are the back end's own ("nhwc", "nChw16c", "OIhw16i16o"). An empty layout is not decided yet.
using Layout = std::string;
inline const Layout kPlain = "plain";

/// How a back end wants to run a node.
struct NodeChoice {
  std::vector<Layout> inputs;
  std::vector<Layout> outputs;
  std::string implementation;     ///< printed by `plan`; part of the plan's fingerprint
  std::size_t scratch_bytes = 0;  ///< working memory, needed only while the node runs
  bool beside = false;            ///< may run beside the nodes behind it, where the back end can do so
  std::string algorithm = "";     ///< how the sums are formed ("winograd"), where an op can be asked for more than one
};

class BackendPlanner {
 public:
  virtual ~BackendPlanner() = default;
  /// The graph as the back end would rather have it, before anything is chosen: the same values, but for rounding.
  virtual Graph rewrite(Graph graph) { return graph; }
  /// Decides for one node, given the layouts that its inputs have now (empty: free to choose, for parameters).
  /// Decides for one node of a graph, given the layouts that its inputs have now (empty: free to choose, for
  /// parameters). The graph is whole, without reorders: who else reads an output can be asked.
  /// Throws DeviceError when the back end cannot run the op.
  virtual NodeChoice choose(const Graph& graph, const Node& node, std::span<const Layout> inputs) = 0;
  /// What a move of `source` (in layout `from`) to `target` (in `to`) runs on: a reorder or a cast that the passes put
  /// in.
  virtual std::string reorder_implementation(const Value& source, const Layout& from, const Value& target,
                                             const Layout& to) const = 0;
  /// Bytes that a value takes in a layout; more than its elements where the layout pads.
  virtual std::size_t bytes(const Value& value, const Layout&) const { return dense_bytes(value); }

  static std::size_t dense_bytes(const Value& value) {
    return static_cast<std::size_t>(value.shape.elements()) * size_of(value.dtype);
  }
};

}  // namespace athanor
