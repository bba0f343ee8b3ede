#include "graph/passes/normalize_in_convolutions.h"

#include <algorithm>

#include "graph/op.h"
#include "graph/passes/channel_value.h"

namespace athanor {
namespace {

// Positions in the inputs and outputs of batch_norm, conv2d and conv2d_backward_weights; see graph/ops.
constexpr std::size_t kNormResidual = 3, kConvScale = 4, kWeightGradientScale = 2;

bool has_residual(const Node& norm) {
  return norm.inputs.size() > kNormResidual && norm.inputs[kNormResidual] != kNoValue;
}

/// Where a reader of the norm's output takes scale and shift, or 0.
std::size_t scale_position(const Node& node) {
  if (node.op->name == "conv2d") return kConvScale;
  return node.op->name == "conv2d_backward_weights" ? kWeightGradientScale : 0;
}

class Normalizing {
 public:
  Normalizing(Graph graph, const CanNormalizeInput& can_normalize)
      : graph_(std::move(graph)), can_normalize_(can_normalize), readers_(graph_.values.size()) {
    for (std::size_t id = 0; id < graph_.nodes.size(); ++id) {
      for (const ValueId input : graph_.nodes[id].inputs) {
        if (input != kNoValue) readers_[static_cast<std::size_t>(input)].push_back(static_cast<NodeId>(id));
      }
    }
    for (const ValueId root : graph_.roots()) readers_[static_cast<std::size_t>(root)].push_back(-1);
  }

  Graph run() {
    for (Node& norm : graph_.nodes) {
      if (norm.op->name == "batch_norm" && !has_residual(norm) && every_reader_can(norm)) move(norm);
    }
    return std::move(graph_);
  }

 private:
  Node& node(NodeId id) { return graph_.nodes[static_cast<std::size_t>(id)]; }

  bool every_reader_can(const Node& norm) const {
    const ValueId y = norm.outputs[0];
    const std::vector<NodeId>& readers = readers_[static_cast<std::size_t>(y)];
    return !readers.empty() && std::all_of(readers.begin(), readers.end(), [&](NodeId id) {
      if (id < 0) return false;
      const Node& reader = graph_.node(id);
      const bool reads_it_alone =
          reader.inputs[0] == y && std::count(reader.inputs.begin(), reader.inputs.end(), y) == 1;
      return scale_position(reader) != 0 && reads_it_alone && can_normalize_(graph_, reader);
    });
  }

  void move(Node& norm) {
    const ValueId scale = add_channel_value(graph_, norm.outputs[0], "scale");
    const ValueId shift = add_channel_value(graph_, norm.outputs[0], "shift");
    const bool has_relu = norm.attributes.text("activation") == "relu";
    for (const NodeId id : readers_[static_cast<std::size_t>(norm.outputs[0])]) {
      Node& reader = node(id);
      const std::size_t at = scale_position(reader);
      reader.inputs[0] = norm.inputs[0];
      reader.inputs.resize(at, kNoValue);
      reader.inputs.insert(reader.inputs.end(), {scale, shift});
      reader.attributes.set("input_relu", has_relu);
    }
    graph_.value(norm.outputs[0]).producer = -1;
    norm.op = &op_named("batch_norm_factors");
    norm.attributes = {{"eps", norm.attributes.real("eps")}};
    norm.outputs.erase(norm.outputs.begin());
    norm.outputs.insert(norm.outputs.end(), {scale, shift});
  }

  Graph graph_;
  const CanNormalizeInput& can_normalize_;
  std::vector<std::vector<NodeId>> readers_;  ///< per value; −1: the caller wants it
};

}  // namespace

Graph normalize_in_convolutions(Graph graph, const CanNormalizeInput& can_normalize) {
  return Normalizing(std::move(graph), can_normalize).run();
}

}  // namespace athanor
