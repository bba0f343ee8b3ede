#include "graph/passes/layout.h"

#include "graph/op.h"

namespace athanor {
namespace {

class Propagation {
 public:
  Propagation(Graph graph, BackendPlanner& planner, const std::map<std::string, Layout>& fixed)
      : given_(graph), graph_(std::move(graph)), planner_(planner), layouts_(given_.values.size()) {
    for (std::size_t id = 0; id < given_.values.size(); ++id) {
      const Value& value = given_.values[id];
      if (value.role == Role::parameter) {
        if (const auto found = fixed.find(value.name); found != fixed.end()) layouts_[id] = found->second;
      } else if (value.role != Role::computed) {
        layouts_[id] = kPlain;
      }
    }
  }

  LaidOutGraph run() {
    graph_.nodes.clear();
    for (const Node& node : given_.nodes) visit(node);
    for (ParameterGradient& pair : graph_.gradients) {
      Layout& layout = layout_of(pair.parameter);
      if (layout.empty())
        layout = is_padded(pair.parameter, layout_of(pair.gradient)) ? kPlain : layout_of(pair.gradient);
      pair.gradient = in_layout(pair.gradient, layout, graph_.node(graph_.value(pair.gradient).producer));
    }
    for (Layout& layout : layouts_) {
      if (layout.empty()) layout = kPlain;
    }
    settle_casts();
    refresh_producers(graph_);
    return {std::move(graph_), std::move(layouts_), std::move(choices_)};
  }

 private:
  Layout& layout_of(ValueId id) { return layouts_[static_cast<std::size_t>(id)]; }

  /// A cast of a parameter takes whatever layout its first reader wants: it reorders on the way.
  bool is_parameter_cast(const Node& node) const {
    return node.op->name == "cast" && graph_.value(node.inputs[0]).role == Role::parameter;
  }

  void visit(Node node) {
    if (is_parameter_cast(node)) {
      emit(std::move(node), {});
      return;
    }
    std::vector<Layout> now;
    for (const ValueId input : node.inputs) now.push_back(input == kNoValue ? Layout{} : layout_of(input));
    NodeChoice choice = planner_.choose(given_, node, now);
    ATHANOR_CHECK(choice.inputs.size() == node.inputs.size() && choice.outputs.size() == node.outputs.size(),
                  "the back end's choice for op '{}' has other arity", node.op->name);
    for (std::size_t i = 0; i < node.inputs.size(); ++i) {
      if (node.inputs[i] != kNoValue) node.inputs[i] = in_layout(node.inputs[i], choice.inputs[i], node);
    }
    for (std::size_t i = 0; i < node.outputs.size(); ++i) {
      if (node.outputs[i] != kNoValue) layout_of(node.outputs[i]) = choice.outputs[i];
    }
    emit(std::move(node), std::move(choice));
  }

  void emit(Node node, NodeChoice choice) {
    for (const ValueId output : node.outputs) {
      if (output != kNoValue) graph_.value(output).producer = static_cast<NodeId>(graph_.nodes.size());
    }
    graph_.nodes.push_back(std::move(node));
    choices_.push_back(std::move(choice));
  }

  /// The value itself if it has that layout (an undecided one takes it), else its reordered copy.
  ValueId in_layout(ValueId value, const Layout& wanted, const Node& reader) {
    Layout& now = layout_of(value);
    if (now.empty()) now = is_padded(value, wanted) ? kPlain : wanted;
    if (now == wanted) return value;
    const auto key = std::make_pair(value, wanted);
    if (const auto found = reordered_.find(key); found != reordered_.end()) return found->second;
    const auto copy = static_cast<ValueId>(graph_.values.size());
    Value moved = graph_.value(value);
    moved.role = Role::computed;
    moved.name += "@" + wanted;
    const Layout from = now;
    graph_.values.push_back(std::move(moved));
    layouts_.push_back(wanted);
    Node reorder{.op = &op_named("reorder"),
                 .attributes = {{"from", from}, {"to", wanted}},
                 .inputs = {value},
                 .outputs = {copy},
                 .layer = reader.layer,
                 .place = reader.place,
                 .phase = reader.phase};
    emit(std::move(reorder), {.inputs = {from}, .outputs = {wanted}, .implementation = "", .scratch_bytes = 0});
    reordered_[key] = copy;
    return copy;
  }

  /// Parameters lie in flat arenas without holes, so a padded layout is for copies only.
  bool is_padded(ValueId value, const Layout& layout) const {
    const Value& held = graph_.value(value);
    return held.role == Role::parameter && planner_.bytes(held, layout) != BackendPlanner::dense_bytes(held);
  }

  void settle_casts() {
    for (std::size_t id = 0; id < graph_.nodes.size(); ++id) {
      const Node& node = graph_.nodes[id];
      if (is_parameter_cast(node)) {
        choices_[id] = {.inputs = {layout_of(node.inputs[0])},
                        .outputs = {layout_of(node.outputs[0])},
                        .implementation = "",
                        .scratch_bytes = 0};
      }
      if (choices_[id].implementation.empty()) {
        const ValueId from = node.inputs[0], to = node.outputs[0];
        choices_[id].implementation =
            planner_.reorder_implementation(graph_.value(from), layout_of(from), graph_.value(to), layout_of(to));
      }
    }
  }

  const Graph given_;  ///< what the back end sees: nodes with all their readers
  Graph graph_;        ///< what comes of it
  BackendPlanner& planner_;
  std::vector<Layout> layouts_;
  std::vector<NodeChoice> choices_;
  std::map<std::pair<ValueId, Layout>, ValueId> reordered_;
};

}  // namespace

LaidOutGraph propagate_layouts(Graph graph, BackendPlanner& planner, const std::map<std::string, Layout>& fixed) {
  return Propagation(std::move(graph), planner, fixed).run();
}

}  // namespace athanor
