#include "graph/passes/fusion.h"

#include <algorithm>
#include <array>

#include "graph/op.h"

namespace athanor {
namespace {

// Positions in the inputs and outputs of the batch-norm ops; see graph/ops/batch_norm.cpp.
constexpr std::size_t kResidual = 3, kInferenceResidual = 5;
constexpr std::size_t kBackwardDy = 0, kBackwardX = 1, kBackwardY = 6, kBackwardDy2 = 7;

class Fusion {
 public:
  explicit Fusion(Graph& graph) : graph_(graph), readers_(graph.values.size()), removed_(graph.nodes.size(), false) {
    for (std::size_t id = 0; id < graph.nodes.size(); ++id) {
      for (const ValueId input : graph.nodes[id].inputs) {
        if (input != kNoValue) readers_[static_cast<std::size_t>(input)].push_back(static_cast<NodeId>(id));
      }
    }
    for (const ValueId root : graph.roots()) readers_[static_cast<std::size_t>(root)].push_back(kRootReader);
  }

  void run() {
    for (NodeId id = 0; id < static_cast<NodeId>(graph_.nodes.size()); ++id) {
      if (removed_[static_cast<std::size_t>(id)] || name(id) != "relu") continue;
      if (!fuse_residual(id)) fuse_activation(id);
    }
    for (NodeId id = 0; id < static_cast<NodeId>(graph_.nodes.size()); ++id) {
      if (!removed_[static_cast<std::size_t>(id)] && name(id) == "batch_norm_backward") fuse_gradient_sum(id);
    }
    compact();
  }

 private:
  static constexpr NodeId kRootReader = -2;

  const std::string& name(NodeId id) const { return graph_.node(id).op->name; }
  Node& node(NodeId id) { return graph_.nodes[static_cast<std::size_t>(id)]; }
  NodeId producer(ValueId value) const { return graph_.value(value).producer; }

  /// The only reader of a value, or −1.
  NodeId only_reader(ValueId value) const {
    const auto& readers = readers_[static_cast<std::size_t>(value)];
    return readers.size() == 1 && readers[0] >= 0 ? readers[0] : -1;
  }

  bool is_batch_norm(NodeId id) const {
    return id >= 0 && (name(id) == "batch_norm" || name(id) == "batch_norm_inference");
  }

  /// Puts `fused` where `slot` stands: everything it reads is ready there, and nothing before it needs it.
  void replace(NodeId slot, NodeId old, Node fused) {
    removed_[static_cast<std::size_t>(old)] = true;
    for (const ValueId output : fused.outputs) {
      if (output != kNoValue) graph_.value(output).producer = slot;
    }
    for (const ValueId input : fused.inputs) {
      if (input == kNoValue) continue;
      auto& readers = readers_[static_cast<std::size_t>(input)];
      std::erase_if(readers, [&](NodeId reader) { return reader == old || reader == slot; });
      readers.push_back(slot);
    }
    node(slot) = std::move(fused);
  }

  void fuse_activation(NodeId relu) {
    const ValueId z = node(relu).inputs[0], y = node(relu).outputs[0];
    const NodeId source = producer(z);
    if (source < 0 || only_reader(z) != relu) return;
    const bool is_product = name(source) == "conv2d" || name(source) == "linear";
    if (!is_product && !is_batch_norm(source)) return;
    if (node(source).attributes.text("activation") != "none") return;
    Node fused = node(source);
    fused.attributes.set("activation", std::string("relu"));
    fused.outputs[0] = y;
    const bool is_training_norm = name(source) == "batch_norm";
    replace(relu, source, std::move(fused));
    if (is_training_norm) fuse_backward(relu, y, kNoValue);
  }

  /// batch_norm → add → relu, whichever of the two summands is the batch norm; of two, the later one.
  bool fuse_residual(NodeId relu) {
    const NodeId sum = producer(node(relu).inputs[0]);
    if (sum < 0 || name(sum) != "add" || only_reader(node(relu).inputs[0]) != relu) return false;
    const std::array<ValueId, 2> summands{node(sum).inputs[0], node(sum).inputs[1]};
    if (summands[0] == summands[1]) return false;
    NodeId norm = -1;
    ValueId residual = kNoValue;
    for (std::size_t i = 0; i < 2; ++i) {
      const NodeId candidate = producer(summands[i]);
      if (!is_batch_norm(candidate) || only_reader(summands[i]) != sum) continue;
      if (node(candidate).attributes.text("activation") != "none" || candidate < norm) continue;
      norm = candidate;
      residual = summands[1 - i];
    }
    if (norm < 0) return false;
    const ValueId y = node(relu).outputs[0];
    const bool is_training_norm = name(norm) == "batch_norm";
    Node fused = node(norm);
    fused.inputs[is_training_norm ? kResidual : kInferenceResidual] = residual;
    fused.attributes.set("activation", std::string("relu"));
    fused.attributes.set("residual", true);
    fused.outputs[0] = y;
    removed_[static_cast<std::size_t>(sum)] = true;
    std::erase(readers_[static_cast<std::size_t>(residual)], sum);
    replace(relu, norm, std::move(fused));
    if (is_training_norm) fuse_backward(relu, y, residual);
    return true;
  }

  /// relu_backward(dy, y) → dz → batch_norm_backward: the norm masks dy itself. With a residual it also gives dz.
  void fuse_backward(NodeId forward, ValueId y, ValueId residual) {
    NodeId mask = -1, norm = -1;
    for (const NodeId reader : readers_[static_cast<std::size_t>(y)]) {
      if (reader >= 0 && name(reader) == "relu_backward" && node(reader).inputs[1] == y) mask = reader;
    }
    if (mask < 0) return;
    const ValueId dz = node(mask).outputs[0];
    for (const NodeId reader : readers_[static_cast<std::size_t>(dz)]) {
      if (reader >= 0 && name(reader) == "batch_norm_backward" &&
          node(reader).inputs[kBackwardX] == node(forward).inputs[0]) {
        norm = reader;
      }
    }
    ATHANOR_CHECK(norm >= 0, "the gradient of layer {} does not follow its ReLU's", node(forward).layer);
    ATHANOR_CHECK(residual != kNoValue || only_reader(dz) == norm);
    Node fused = node(norm);
    fused.attributes = node(forward).attributes;
    fused.inputs[kBackwardDy] = node(mask).inputs[0];
    std::erase(readers_[static_cast<std::size_t>(dz)], norm);
    std::erase(readers_[static_cast<std::size_t>(y)], mask);
    if (residual != kNoValue) {
      fused.inputs[kBackwardY] = y;
      fused.outputs.push_back(dz);
    }
    replace(mask, norm, std::move(fused));
  }

  void fuse_gradient_sum(NodeId norm) {
    const ValueId dy = node(norm).inputs[kBackwardDy];
    const NodeId sum = producer(dy);
    if (sum < 0 || name(sum) != "add" || only_reader(dy) != norm) return;
    if (node(norm).attributes.text("activation") != "relu") return;
    Node fused = node(norm);
    fused.inputs[kBackwardDy] = node(sum).inputs[0];
    fused.inputs[kBackwardDy2] = node(sum).inputs[1];
    replace(norm, sum, std::move(fused));
  }

  void compact() {
    std::vector<Node> kept;
    for (std::size_t id = 0; id < graph_.nodes.size(); ++id) {
      if (!removed_[id]) kept.push_back(std::move(graph_.nodes[id]));
    }
    graph_.nodes = std::move(kept);
    refresh_producers(graph_);
  }

  Graph& graph_;
  std::vector<std::vector<NodeId>> readers_;
  std::vector<bool> removed_;
};

}  // namespace

Graph fuse(Graph graph) {
  Fusion(graph).run();
  return graph;
}

}  // namespace athanor
