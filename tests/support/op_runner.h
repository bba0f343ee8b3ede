// Runs ops and small graphs, on the CPU back end where nothing else is said, the way a training step does: planned,
// bound to arenas, step by step.
#pragma once

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "graph/graph.h"
#include "graph/planner.h"
#include "support/op_call.h"

namespace athanor::cpu {
class ConvolutionChoices;
}

namespace athanor::testing {

struct RunOptions;

/// Values that a graph's inputs are given, by value.
using Feeds = std::vector<std::pair<ValueId, reference::Tensor>>;

/// Plans and runs a graph once; returns graph.outputs in logical order. Memory that nobody has written holds NaN.
using GraphRunner = std::function<std::vector<reference::Tensor>(const Graph&, const Feeds&, const RunOptions&)>;

struct RunOptions {
  DType dtype = DType::f32;  ///< of activations and the weights of products: f32, bf16 or, not on the CPU, f16
  int threads = 1;
  Layout layout = kPlain;  ///< of the images that the op is given, where its channel blocks divide their channels
  std::uint64_t seed = 0;
  cpu::ConvolutionChoices* convolutions = nullptr;  ///< that choose the algorithm; none: the rule does
  GraphRunner runner = {};                          ///< of another back end; none: the CPU's, run_graph
};

/// A GraphRunner on the CPU back end.
std::vector<reference::Tensor> run_graph(const Graph& graph, const Feeds& feeds, const RunOptions& options = {});

/// What an op gives for its inputs.
std::vector<reference::Tensor> run_op(const OpCall& call, const RunOptions& options = {});

struct GradientRun {
  std::vector<std::optional<reference::Tensor>> gradients;  ///< per input of the call; nothing where none flows
  std::set<std::string> ops;                                ///< what the graph consisted of
};

/// The gradient of sum(output_gradient · outputs[0]) by every operand of a floating type. A call with `activation` or
/// `residual` is built from its parts, differentiated and fused, as a network is.
GradientRun run_gradient(const OpCall& call, const reference::Tensor& output_gradient, const RunOptions& options = {});

}  // namespace athanor::testing
