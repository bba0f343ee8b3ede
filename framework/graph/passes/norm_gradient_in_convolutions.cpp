#include "graph/passes/norm_gradient_in_convolutions.h"

#include <fmt/format.h>

#include "graph/op.h"

namespace athanor {
namespace {

// Positions in the inputs and outputs of batch_norm_backward; see graph/ops/batch_norm.cpp.
constexpr std::size_t kDy = 0, kX = 1, kInvStd = 5, kY = 6, kDy2 = 7, kMask = 8, kSums = 9;
constexpr std::size_t kDgamma = 1, kDresidual = 3;

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
      const ValueId dy = norm.inputs[kDy], dy2 = input_of(norm, kDy2);
      if (can_take(dy, dy2)) {
        take(norm, dy, dy2);
      } else if (dy2 != kNoValue && can_take(dy2, dy)) {
        take(norm, dy2, dy);
      }
    }
    return std::move(graph_);
  }

 private:
  static ValueId input_of(const Node& node, std::size_t at) {
    return at < node.inputs.size() ? node.inputs[at] : kNoValue;
  }

  /// Whether what makes `gradient` can add `other` to it.
  bool can_take(ValueId gradient, ValueId other) const {
    const NodeId maker = graph_.value(gradient).producer;
    if (maker < 0 || gradient == other || readers_[static_cast<std::size_t>(gradient)] != 1) return false;
    if (other != kNoValue && graph_.value(other).producer >= maker) return false;
    const Node& node = graph_.node(maker);
    return node.op->name == "conv2d_backward_data" && !node.attributes.flag("statistics") && can_begin_(graph_, node);
  }

  ValueId per_channel(const Value& gradient, const char* name) {
    graph_.values.push_back({.name = fmt::format("{}.{}", gradient.name, name),
                             .shape = {gradient.shape[1]},
                             .dtype = DType::f32,
                             .role = Role::computed,
                             .producer = gradient.producer});
    return static_cast<ValueId>(graph_.values.size() - 1);
  }

  void take(Node& norm, ValueId gradient, ValueId other) {
    const Value made = graph_.value(gradient);
    const ValueId sum = per_channel(made, "sum"), products = per_channel(made, "products");
    Node& maker = graph_.nodes[static_cast<std::size_t>(made.producer)];
    maker.attributes.set("statistics", true);
    maker.attributes.set("input_relu", norm.attributes.text("activation") == "relu");
    maker.inputs.push_back(other);
    for (std::size_t at = kX; at <= kInvStd; ++at) maker.inputs.push_back(norm.inputs[at]);
    maker.inputs.push_back(input_of(norm, kY));
    ValueId masked = gradient;
    if (norm.outputs.size() > kDresidual && norm.outputs[kDresidual] != kNoValue) {
      masked = norm.outputs[kDresidual];
      graph_.value(masked).producer = made.producer;
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
