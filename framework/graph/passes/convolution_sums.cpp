#include "graph/passes/convolution_sums.h"

#include <algorithm>

#include "graph/op.h"
#include "graph/passes/channel_value.h"

namespace athanor {
namespace {

// Positions in the inputs of batch_norm and the outputs of conv2d; see graph/ops.
constexpr std::size_t kNormSums = 4, kConvSums = 1;

void add_sums(Graph& graph, Node& conv) {
  conv.attributes.set("statistics", true);
  for (const char* name : {"sum", "squares"}) {
    conv.outputs.push_back(add_channel_value(graph, conv.outputs[0], name));
  }
}

}  // namespace

Graph sum_in_convolutions(Graph graph, const CanSumOutput& can_sum) {
  for (Node& norm : graph.nodes) {
    if (norm.op->name != "batch_norm") continue;
    const NodeId producer = graph.value(norm.inputs[0]).producer;
    if (producer < 0 || graph.node(producer).op->name != "conv2d") continue;
    Node& conv = graph.nodes[static_cast<std::size_t>(producer)];
    if (!conv.attributes.flag("statistics")) {
      if (!can_sum(graph, conv)) continue;
      add_sums(graph, conv);
    }
    norm.inputs.resize(kNormSums, kNoValue);
    norm.inputs.insert(norm.inputs.end(), {conv.outputs[kConvSums], conv.outputs[kConvSums + 1]});
  }
  return graph;
}

}  // namespace athanor
