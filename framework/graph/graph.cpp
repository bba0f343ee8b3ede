#include "graph/graph.h"

namespace athanor {

std::vector<ValueId> Graph::roots() const {
  std::vector<ValueId> roots = outputs;
  if (loss != kNoValue) roots.push_back(loss);
  for (const ParameterGradient& pair : gradients) roots.push_back(pair.gradient);
  for (const StatisticUpdate& update : statistics) roots.push_back(update.contribution);
  for (const Metric& metric : metrics) roots.push_back(metric.value);
  return roots;
}

ValueId Graph::find(std::string_view name) const {
  for (std::size_t id = 0; id < values.size(); ++id) {
    if (values[id].name == name) return static_cast<ValueId>(id);
  }
  return kNoValue;
}

std::vector<ValueId> Graph::of_role(Role role) const {
  std::vector<ValueId> found;
  for (std::size_t id = 0; id < values.size(); ++id) {
    if (values[id].role == role) found.push_back(static_cast<ValueId>(id));
  }
  return found;
}

std::int64_t Graph::parameter_count() const {
  std::int64_t count = 0;
  for (const Value& value : values) {
    if (value.role == Role::parameter) count += value.shape.elements();
  }
  return count;
}

void refresh_producers(Graph& graph) {
  for (Value& value : graph.values) value.producer = -1;
  for (std::size_t id = 0; id < graph.nodes.size(); ++id) {
    for (const ValueId output : graph.nodes[id].outputs) {
      if (output != kNoValue) graph.value(output).producer = static_cast<NodeId>(id);
    }
  }
}

}  // namespace athanor
