#include "graph/passes/norm_gradient_in_convolutions.h"

#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "graph/op.h"
#include "graph/passes/channel_value.h"

namespace athanor {
namespace {

// Positions in the inputs and outputs of batch_norm_backward; see graph/ops/batch_norm.cpp.
constexpr std::size_t kDy = 0, kX = 1, kInvStd = 5, kY = 6, kDy2 = 7, kMask = 8, kSums = 9;
constexpr std::size_t kDgamma = 1, kDresidual = 3;
// And in the inputs of conv2d_backward_data.
constexpr std::size_t kAddend = 2;

class NormGradients {
 public:
  NormGradients(Graph graph, const CanBeginNormGradient& can_begin)
      : graph_(std::move(graph)), can_begin_(can_begin), readers_(graph_.values.size(), 0) {
    for (const Node& node : graph_.nodes) {
      for (const ValueId input : node.inputs) {
        if (input != kNoValue) ++readers_[static_cast<std::size_t>(input)];
      }
    }
    for (const ValueId root : graph_.roots()) ++readers_[static_cast<std::size_t>(root)];
  }

  Graph run() {
    for (Node& norm : graph_.nodes) {
      if (norm.op->name != "batch_norm_backward" || input_of(norm, kMask) != kNoValue) continue;
      ValueId last = norm.inputs[kDy], first = input_of(norm, kDy2);
      if (first != kNoValue && graph_.value(first).producer > graph_.value(last).producer) std::swap(first, last);
      if (can_take(last, first)) {
        take(norm, last, first);
      } else if (first != kNoValue && can_take(first, last)) {
        take(norm, first, last);
      }
    }
    move_behind_addends();
    return std::move(graph_);
  }

 private:
  static ValueId input_of(const Node& node, std::size_t at) {
    return at < node.inputs.size() ? node.inputs[at] : kNoValue;
  }

  /// Whether what makes `gradient` can do the norm's part, and add `other` to it.
  bool can_take(ValueId gradient, ValueId other) const {
    const NodeId maker = graph_.value(gradient).producer;
    if (maker < 0 || gradient == other || readers_[static_cast<std::size_t>(gradient)] != 1) return false;
    const Node& node = graph_.node(maker);
    return node.op->name == "conv2d_backward_data" && !node.attributes.flag("statistics") && can_begin_(graph_, node);
  }

  /// A convolution that adds what came behind it stands right before the norm, its only reader until then.
  void move_behind_addends() {
    std::vector<Node> ordered;
    std::vector<NodeId> late;
    const auto is_late = [&](NodeId id) {
      const Node& node = graph_.node(id);
      if (node.op->name != "conv2d_backward_data" || !node.attributes.flag("statistics")) return false;
      return node.inputs[kAddend] != kNoValue && graph_.value(node.inputs[kAddend]).producer > id;
    };
    for (NodeId id = 0; id < static_cast<NodeId>(graph_.nodes.size()); ++id) {
      if (is_late(id)) {
        late.push_back(id);
        continue;
      }
      const Node& node = graph_.node(id);
      std::erase_if(late, [&](NodeId maker) {
        const bool is_read = !node.inputs.empty() && node.inputs[kDy] == graph_.node(maker).outputs[0];
        if (is_read) ordered.push_back(graph_.node(maker));
        return is_read;
      });
      ordered.push_back(node);
    }
    ATHANOR_CHECK(late.empty(), "a gradient that no norm reads");
    graph_.nodes = std::move(ordered);
    refresh_producers(graph_);
  }

  void take(Node& norm, ValueId gradient, ValueId other) {
    const NodeId producer = graph_.value(gradient).producer;
    const ValueId sum = add_channel_value(graph_, gradient, "sum");
    const ValueId products = add_channel_value(graph_, gradient, "products");
    Node& maker = graph_.nodes[static_cast<std::size_t>(producer)];
    maker.attributes.set("statistics", true);
    maker.attributes.set("input_relu", norm.attributes.text("activation") == "relu");
    maker.inputs.push_back(other);
    for (std::size_t at = kX; at <= kInvStd; ++at) maker.inputs.push_back(norm.inputs[at]);
    maker.inputs.push_back(input_of(norm, kY));
    ValueId masked = gradient;
    if (norm.outputs.size() > kDresidual && norm.outputs[kDresidual] != kNoValue) {
      masked = norm.outputs[kDresidual];
      // whoever adds this one must stand behind the norm too, where its maker goes
      const bool is_late = other != kNoValue && graph_.value(other).producer > producer;
      graph_.value(masked).producer = is_late ? static_cast<NodeId>(&norm - graph_.nodes.data()) : producer;
      graph_.value(gradient).producer = -1;
    }
    maker.outputs = {masked, sum, products};
    norm.inputs[kDy] = masked;
    ++readers_[static_cast<std::size_t>(masked)];
    norm.inputs.resize(kSums, kNoValue);
    norm.inputs[kY] = norm.inputs[kDy2] = kNoValue;
    norm.inputs.insert(norm.inputs.end(), {sum, products});
    norm.outputs.resize(kDgamma + 2);
    norm.attributes.set("activation", std::string("none"));
    norm.attributes.set("residual", false);
  }

  Graph graph_;
  const CanBeginNormGradient& can_begin_;
  std::vector<int> readers_;  ///< per value; the caller is one
};

}  // namespace

Graph begin_norm_gradients_in_convolutions(Graph graph, const CanBeginNormGradient& can_begin) {
  return NormGradients(std::move(graph), can_begin).run();
}

}  // namespace athanor
