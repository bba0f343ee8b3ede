#include "graph/passes/gradient.h"

#include <algorithm>

#include "graph/builder.h"

namespace athanor {
namespace {

/// Values on a path from one of `sources` along the forward nodes.
std::vector<bool> depends_on(const Graph& graph, std::span<const ValueId> sources) {
  std::vector<bool> depends(graph.values.size(), false);
  for (const ValueId id : sources) depends[static_cast<std::size_t>(id)] = true;
  for (const Node& node : graph.nodes) {
    bool any = false;
    for (const ValueId input : node.inputs)
      any = any || (input != kNoValue && depends[static_cast<std::size_t>(input)]);
    for (const ValueId output : node.outputs) {
      if (any && output != kNoValue) depends[static_cast<std::size_t>(output)] = true;
    }
  }
  return depends;
}

class Backward {
 public:
  Backward(Graph& graph, std::span<const ValueId> wrt)
      : graph_(graph), builder_(graph), needed_(depends_on(graph, wrt)), summed_(graph.values.size(), kNoValue) {
    builder_.phase = Phase::backward;
  }

  void accumulate(ValueId value, ValueId gradient) {
    ValueId& sum = summed_[static_cast<std::size_t>(value)];
    sum = sum == kNoValue ? gradient : builder_.add1("add", {sum, gradient});
  }

  ValueId gradient_of(ValueId value) const { return summed_[static_cast<std::size_t>(value)]; }

  void run() {
    for (std::size_t remaining = graph_.nodes.size(); remaining > 0; --remaining) {
      const Node node = graph_.nodes[remaining - 1];  // a copy: adding nodes moves the originals
      if (node.phase == Phase::forward) visit(node);
    }
  }

 private:
  bool is_needed(ValueId value) const { return value != kNoValue && needed_[static_cast<std::size_t>(value)]; }

  void visit(const Node& node) {
    std::vector<ValueId> output_gradients;
    bool any = false;
    for (const ValueId output : node.outputs) {
      output_gradients.push_back(output == kNoValue ? kNoValue : gradient_of(output));
      any = any || output_gradients.back() != kNoValue;
    }
    std::vector<bool> needed;
    bool wanted = false;
    for (const ValueId input : node.inputs) {
      needed.push_back(is_needed(input));
      wanted = wanted || needed.back();
    }
    if (!any || !wanted) return;
    ATHANOR_CHECK(node.op->gradient, "op '{}' of layer {} has no gradient: {}", node.op->name, node.layer,
                  node.op->no_gradient);

    const Scope scope(builder_, "");
    Scope::set(builder_, node.layer, node.place);
    GradientContext context{builder_, graph_, node, output_gradients, needed};
    const std::vector<ValueId> gradients = node.op->gradient(context);
    for (std::size_t i = 0; i < gradients.size(); ++i) {
      if (gradients[i] != kNoValue && is_needed(node.inputs[i])) accumulate(node.inputs[i], gradients[i]);
    }
  }

  Graph& graph_;
  Builder builder_;
  std::vector<bool> needed_;
  std::vector<ValueId> summed_;  // per forward value: the sum of the gradients so far
};

}  // namespace

Graph differentiate(Graph graph, double scale) {
  ATHANOR_CHECK(graph.loss != kNoValue);
  const std::vector<ValueId> parameters = graph.of_role(Role::parameter);
  Backward backward(graph, parameters);
  Builder builder(graph);
  builder.phase = Phase::backward;
  const ValueId seed = builder.constant("loss_scale", {1}, {static_cast<float>(scale)});
  backward.accumulate(graph.loss, seed);
  backward.run();

  std::vector<std::pair<NodeId, ParameterGradient>> finished;
  for (const ValueId parameter : parameters) {
    const ValueId gradient = backward.gradient_of(parameter);
    if (gradient != kNoValue) finished.push_back({graph.value(gradient).producer, {parameter, gradient}});
  }
  std::stable_sort(finished.begin(), finished.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  for (const auto& [producer, pair] : finished) graph.gradients.push_back(pair);
  return graph;
}

Graph differentiate(Graph graph, std::span<const ValueId> outputs, std::span<const ValueId> seeds,
                    std::span<const ValueId> wrt, std::vector<ValueId>& gradients) {
  Backward backward(graph, wrt);
  for (std::size_t i = 0; i < outputs.size(); ++i) backward.accumulate(outputs[i], seeds[i]);
  backward.run();
  gradients.clear();
  for (const ValueId value : wrt) gradients.push_back(backward.gradient_of(value));
  return graph;
}

}  // namespace athanor
