#include "graph/passes/fusion.h"

#include <algorithm>
#include <array>

#include "graph/op.h"

namespace athanor {
namespace {

// Positions in the inputs and outputs of the batch-norm ops; see graph/ops/batch_norm.cpp and
// batch_norm_synchronized.cpp.
constexpr std::size_t kResidual = 3, kResidualOfGivenStatistics = 5;
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
      if (!removed_[static_cast<std::size_t>(id)] && is_gradient(id)) fuse_gradient_sum(id);
    }
    for (NodeId id = 0; id < static_cast<NodeId>(graph_.nodes.size()); ++id) {
      if (!removed_[static_cast<std::size_t>(id)] && name(id) == "relu_backward") mask_behind_pool(id);
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
    return id >= 0 && (is_training_norm(id) || name(id) == "batch_norm_inference");
  }
  bool is_training_norm(NodeId id) const { return name(id) == "batch_norm" || name(id) == "batch_norm_apply"; }
  /// What reads the incoming gradient of a norm first. Of a synchronised one, batch_norm_input_gradient reads it too.
  bool is_gradient(NodeId id) const { return name(id) == "batch_norm_backward" || name(id) == "batch_norm_sums"; }

  /// The second reader of the incoming gradient of a synchronised norm, if `sums` belongs to one and both are the only
  /// readers of it, or −1.
  NodeId second_pass(NodeId sums) const {
    const auto& readers = readers_[static_cast<std::size_t>(graph_.node(sums).inputs[kBackwardDy])];
    if (name(sums) != "batch_norm_sums" || readers.size() != 2) return -1;
    const NodeId other = readers[0] == sums ? readers[1] : readers[0];
    const bool is_second = other >= 0 && name(other) == "batch_norm_input_gradient" &&
                           graph_.node(other).inputs[kBackwardX] == graph_.node(sums).inputs[kBackwardX];
    return is_second ? other : -1;
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

  void set_input(NodeId reader, std::size_t place, ValueId value) {
    ValueId& input = node(reader).inputs[place];
    if (input != kNoValue) std::erase(readers_[static_cast<std::size_t>(input)], reader);
    readers_[static_cast<std::size_t>(value)].push_back(reader);
    input = value;
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
    const bool has_backward = is_training_norm(source);
    replace(relu, source, std::move(fused));
    if (has_backward) fuse_backward(relu, y, kNoValue);
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
    const bool has_backward = is_training_norm(norm);
    Node fused = node(norm);
    fused.inputs[name(norm) == "batch_norm" ? kResidual : kResidualOfGivenStatistics] = residual;
    fused.attributes.set("activation", std::string("relu"));
    fused.attributes.set("residual", true);
    fused.outputs[0] = y;
    removed_[static_cast<std::size_t>(sum)] = true;
    std::erase(readers_[static_cast<std::size_t>(residual)], sum);
    replace(relu, norm, std::move(fused));
    if (has_backward) fuse_backward(relu, y, residual);
    return true;
  }

  /// relu_backward(dy, y) → dz → batch_norm_backward: the norm masks dy itself. With a residual it also gives dz, and
  /// the second pass of a synchronised norm reads that; without, both passes mask.
  void fuse_backward(NodeId forward, ValueId y, ValueId residual) {
    NodeId mask = -1, norm = -1;
    for (const NodeId reader : readers_[static_cast<std::size_t>(y)]) {
      if (reader >= 0 && name(reader) == "relu_backward" && node(reader).inputs[1] == y) mask = reader;
    }
    if (mask < 0) return;
    const ValueId dz = node(mask).outputs[0];
    for (const NodeId reader : readers_[static_cast<std::size_t>(dz)]) {
      if (reader >= 0 && is_gradient(reader) && node(reader).inputs[kBackwardX] == node(forward).inputs[0]) {
        norm = reader;
      }
    }
    ATHANOR_CHECK(norm >= 0, "the gradient of layer {} does not follow its ReLU's", node(forward).layer);
    const NodeId second = residual == kNoValue ? second_pass(norm) : -1;
    ATHANOR_CHECK(residual != kNoValue || second >= 0 || only_reader(dz) == norm);
    if (second >= 0) {
      set_input(second, kBackwardDy, node(mask).inputs[0]);
      node(second).attributes.set("activation", std::string("relu"));
    }
    Node fused = node(norm);
    for (const char* key : {"activation", "residual"}) fused.attributes.set(key, *node(forward).attributes.find(key));
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
    if (sum < 0 || name(sum) != "add") return;
    const NodeId second = second_pass(norm);
    if (second < 0 && only_reader(dy) != norm) return;
    if (node(norm).attributes.text("activation") != "relu") return;
    if (second >= 0) {
      set_input(second, kBackwardDy, node(sum).inputs[0]);
      set_input(second, kBackwardDy2, node(sum).inputs[1]);
    }
    Node fused = node(norm);
    fused.inputs[kBackwardDy] = node(sum).inputs[0];
    fused.inputs[kBackwardDy2] = node(sum).inputs[1];
    replace(norm, sum, std::move(fused));
  }

  /// max_pool2d_backward → relu_backward of what was pooled: the gradient flows to the maxima alone, so masking it by
  /// them, which are fewer, before it is spread gives the same bits. What was pooled need not be kept.
  void mask_behind_pool(NodeId relu) {
    const ValueId spread = node(relu).inputs[0];
    const NodeId pool_gradient = producer(spread);
    if (pool_gradient < 0 || name(pool_gradient) != "max_pool2d_backward" || only_reader(spread) != relu) return;
    const NodeId forward = producer(node(pool_gradient).inputs[1]);
    if (forward < 0) return;
    const Node& pool = graph_.node(forward);
    if (pool.op->name != "max_pool2d" || pool.inputs[0] != node(relu).inputs[1]) return;
    const ValueId dy = node(pool_gradient).inputs[0], result = node(relu).outputs[0];
    Node mask = node(relu), gather = node(pool_gradient);
    mask.inputs = {dy, pool.outputs[0]};
    mask.outputs = {spread};
    gather.inputs[0] = spread;
    gather.outputs = {result};
    graph_.value(spread).shape = graph_.value(dy).shape;
    node(pool_gradient) = std::move(mask);
    node(relu) = std::move(gather);
    graph_.value(result).producer = relu;
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
