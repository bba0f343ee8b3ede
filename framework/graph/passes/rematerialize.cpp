#include "graph/passes/rematerialize.h"

#include <algorithm>

#include "graph/op.h"

namespace athanor {
namespace {

class Rematerialization {
 public:
  Rematerialization(const LaidOutGraph& given, const std::vector<bool>& dropped, BackendPlanner& planner)
      : given_(given),
        dropped_(dropped),
        planner_(planner),
        result_{given.graph, given.layouts, {}},
        copies_(given.graph.values.size(), kNoValue) {}

  LaidOutGraph run() {
    result_.graph.nodes.clear();
    const NodeId backward = first_of_backward(given_.graph);
    for (NodeId id = 0; id < static_cast<NodeId>(given_.graph.nodes.size()); ++id) {
      Node node = given_.graph.node(id);
      if (id >= backward) read_copies(node);
      emit(std::move(node), given_.choices[static_cast<std::size_t>(id)]);
    }
    refresh_producers(result_.graph);
    return std::move(result_);
  }

 private:
  void emit(Node node, NodeChoice choice) {
    result_.graph.nodes.push_back(std::move(node));
    result_.choices.push_back(std::move(choice));
  }

  void read_copies(Node& node) {
    for (ValueId& input : node.inputs) {
      if (input != kNoValue && dropped_[static_cast<std::size_t>(input)]) input = copy_of(input);
    }
  }

  ValueId copy_of(ValueId value) {
    if (copies_[static_cast<std::size_t>(value)] != kNoValue) return copies_[static_cast<std::size_t>(value)];
    Remake again = remake(given_, given_.graph.value(value).producer, value, planner_);
    read_copies(again.node);
    for (ValueId& output : again.node.outputs) {
      if (output != kNoValue) output = add_copy(output);
    }
    again.node.phase = Phase::backward;
    emit(std::move(again.node), std::move(again.choice));
    return copies_[static_cast<std::size_t>(value)];
  }

  ValueId add_copy(ValueId original) {
    Value copy = given_.graph.value(original);
    copy.name += ":again";
    copy.copy_of = original;
    result_.graph.values.push_back(std::move(copy));
    result_.layouts.push_back(given_.layouts[static_cast<std::size_t>(original)]);
    const auto id = static_cast<ValueId>(result_.graph.values.size() - 1);
    copies_[static_cast<std::size_t>(original)] = id;
    return id;
  }

  const LaidOutGraph& given_;
  const std::vector<bool>& dropped_;
  BackendPlanner& planner_;
  LaidOutGraph result_;
  std::vector<ValueId> copies_;  // per value of the given graph
};

}  // namespace

std::vector<bool> find_hoisted(const Graph& graph) {
  std::vector<bool> is_shared(graph.values.size(), false), is_hoisted(graph.nodes.size(), false);
  for (std::size_t id = 0; id < is_shared.size(); ++id) {
    is_shared[id] = graph.values[id].role == Role::parameter || graph.values[id].role == Role::constant;
  }
  for (std::size_t id = 0; id < graph.nodes.size(); ++id) {
    const Node& node = graph.nodes[id];
    is_hoisted[id] = std::all_of(node.inputs.begin(), node.inputs.end(), [&](ValueId input) {
      return input == kNoValue || is_shared[static_cast<std::size_t>(input)];
    });
    for (const ValueId output : node.outputs) {
      if (is_hoisted[id] && output != kNoValue) is_shared[static_cast<std::size_t>(output)] = true;
    }
  }
  return is_hoisted;
}

NodeId first_of_backward(const Graph& graph) {
  const std::vector<bool> is_hoisted = find_hoisted(graph);
  for (std::size_t id = 0; id < graph.nodes.size(); ++id) {
    if (!is_hoisted[id] && graph.nodes[id].phase == Phase::backward) return static_cast<NodeId>(id);
  }
  return static_cast<NodeId>(graph.nodes.size());
}

Remake remake(const LaidOutGraph& laid_out, NodeId id, ValueId value, BackendPlanner& planner) {
  const Graph& graph = laid_out.graph;
  const Node& node = graph.node(id);
  const auto layout_of = [&](ValueId held) {
    return held == kNoValue ? Layout{} : laid_out.layouts[static_cast<std::size_t>(held)];
  };
  if (node.op->remake && node.outputs[0] == value) {
    Remake again{node.op->remake(node), {}};
    std::vector<Layout> layouts;
    for (const ValueId input : again.node.inputs) layouts.push_back(layout_of(input));
    again.choice = planner.choose(graph, again.node, layouts);
    bool fits = again.choice.outputs[0] == layout_of(value);
    for (std::size_t i = 0; i < layouts.size(); ++i) {
      fits = fits && (again.node.inputs[i] == kNoValue || again.choice.inputs[i] == layouts[i]);
    }
    if (fits) return again;
  }
  return {node, laid_out.choices[static_cast<std::size_t>(id)]};
}

LaidOutGraph rematerialize(const LaidOutGraph& laid_out, const std::vector<bool>& dropped, BackendPlanner& planner) {
  return Rematerialization(laid_out, dropped, planner).run();
}

}  // namespace athanor
