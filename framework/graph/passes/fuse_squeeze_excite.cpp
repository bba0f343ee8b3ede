#include "graph/passes/fuse_squeeze_excite.h"

#include <string>

#include "graph/op.h"

namespace athanor {
namespace {

class SqueezeExciteFusion {
 public:
  explicit SqueezeExciteFusion(Graph graph)
      : graph_(std::move(graph)), readers_(graph_.values.size(), 0), removed_(graph_.nodes.size(), false) {
    for (const Node& node : graph_.nodes) {
      for (const ValueId input : node.inputs) count(input, 1);
    }
    for (const ValueId root : graph_.roots()) count(root, 1);
  }

  Graph run() {
    for (NodeId id = 0; id < static_cast<NodeId>(graph_.nodes.size()); ++id) {
      if (removed_[static_cast<std::size_t>(id)]) continue;
      if (is(id, "relu")) fuse_forward(id);
      if (is(id, "add")) fuse_backward(id);
    }
    std::vector<Node> kept;
    for (std::size_t id = 0; id < graph_.nodes.size(); ++id) {
      if (!removed_[id]) kept.push_back(std::move(graph_.nodes[id]));
    }
    graph_.nodes = std::move(kept);
    refresh_producers(graph_);
    return std::move(graph_);
  }

 private:
  void count(ValueId value, int change) {
    if (value != kNoValue) readers_[static_cast<std::size_t>(value)] += change;
  }
  Node& node(NodeId id) { return graph_.nodes[static_cast<std::size_t>(id)]; }
  bool is(NodeId id, const char* op) const { return id >= 0 && graph_.node(id).op->name == op; }
  /// The node that makes a value which is read once, if it is such an op, or −1.
  NodeId sole_source(ValueId value, const char* op) const {
    const NodeId id = graph_.value(value).producer;
    return is(id, op) && readers_[static_cast<std::size_t>(value)] == 1 ? id : -1;
  }

  void remove(NodeId id) {
    removed_[static_cast<std::size_t>(id)] = true;
    for (const ValueId input : node(id).inputs) count(input, -1);
  }
  /// Puts `fused`, which reads what is ready there, where `slot` stands.
  void replace(NodeId slot, Node fused) {
    for (const ValueId input : node(slot).inputs) count(input, -1);
    for (const ValueId input : fused.inputs) count(input, 1);
    for (const ValueId output : fused.outputs) graph_.value(output).producer = slot;
    node(slot) = std::move(fused);
  }

  /// relu(x · s + residual); of two scales the later one takes the other.
  void fuse_forward(NodeId relu) {
    const NodeId sum = sole_source(node(relu).inputs[0], "add");
    if (sum < 0) return;
    const ValueId first = node(sum).inputs[0], second = node(sum).inputs[1];
    const NodeId of_second = sole_source(second, "scale");
    const NodeId scale = of_second >= 0 ? of_second : sole_source(first, "scale");
    if (scale < 0 || node(scale).inputs.size() != 2) return;
    Node fused = node(scale);
    fused.inputs.push_back(of_second >= 0 ? first : second);
    fused.attributes.set("activation", std::string("relu"));
    fused.outputs = node(relu).outputs;
    remove(scale);
    remove(sum);
    replace(relu, std::move(fused));
  }

  /// The sum of the two gradients of x: through the scale, and through the pool that s was made from.
  void fuse_backward(NodeId sum) {
    for (std::size_t i = 0; i < 2; ++i) {
      const NodeId scale = sole_source(node(sum).inputs[i], "scale_backward");
      const NodeId pool = sole_source(node(sum).inputs[1 - i], "global_avg_pool_backward");
      if (scale < 0 || pool < 0 || node(scale).outputs[0] != node(sum).inputs[i]) continue;
      const ValueId s = node(scale).inputs[2];
      const ValueId dz = add_sums(scale);
      const Shape& image = graph_.value(node(sum).outputs[0]).shape;
      Node whole = node(sum);
      whole.op = &op_named("scale");
      whole.attributes = {{"activation", std::string("none")},
                          {"shift_factor", 1.0 / static_cast<double>(image[2] * image[3])}};
      whole.inputs = {dz, s, kNoValue, node(pool).inputs[0]};
      remove(pool);
      replace(sum, std::move(whole));
      return;
    }
  }

  /// Replaces a scale_backward by scale_sums, and returns the gradient of x · s.
  ValueId add_sums(NodeId scale) {
    const ValueId dz = node(scale).inputs[0], ds = node(scale).outputs[1];
    const NodeId mask = graph_.value(dz).producer;
    Node sums = node(scale);
    sums.op = &op_named("scale_sums");
    sums.outputs = {ds};
    if (!is(mask, "relu_backward")) {
      sums.attributes = {{"activation", std::string("none")}};
      sums.inputs = {dz, node(scale).inputs[1]};
      replace(scale, std::move(sums));
      return dz;
    }
    const ValueId dy = node(mask).inputs[0], y = node(mask).inputs[1];
    sums.attributes = {{"activation", std::string("relu")}};
    sums.inputs = {dy, node(scale).inputs[1], y};
    sums.outputs.push_back(dz);
    if (const NodeId two = sole_source(dy, "add"); two >= 0) {
      sums.inputs = {node(two).inputs[0], node(scale).inputs[1], y, node(two).inputs[1]};
      remove(two);
    }
    remove(scale);
    replace(mask, std::move(sums));
    return dz;
  }

  Graph graph_;
  std::vector<int> readers_;
  std::vector<bool> removed_;
};

}  // namespace

Graph fuse_squeeze_excite(Graph graph) {
  return SqueezeExciteFusion(std::move(graph)).run();
}

}  // namespace athanor
