#include "train/plan_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <map>

#include "backend/reference_implementation.h"
#include "graph/op.h"

namespace athanor {
namespace {

/// [O, I/g, KH, KW] as "(KH·KW·I/g)·O", [O, I] as "I·O", [C] as "C".
std::string formula_of(const Shape& shape) {
  if (shape.rank() == 4) return fmt::format("({}·{}·{})·{}", shape[2], shape[3], shape[1], shape[0]);
  if (shape.rank() == 2) return fmt::format("{}·{}", shape[1], shape[0]);
  return std::to_string(shape.elements());
}

/// The images of a shard are N; everything else as it is.
std::string output_text(const Shape& shape, std::int64_t rows) {
  if (shape.rank() < 2 || shape[0] != rows) return shape.text();
  std::string text = "[N";
  for (std::size_t i = 1; i < shape.rank(); ++i) text += fmt::format(", {}", shape[i]);
  return text + "]";
}

void append_once(std::string& list, const std::string& name) {
  if (name.empty()) return;
  for (std::size_t at = 0; at <= list.size();) {
    const std::size_t end = std::min(list.find(" + ", at), list.size());
    if (std::string_view(list).substr(at, end - at) == name) return;
    at = end + 3;
  }
  list += (list.empty() ? "" : " + ") + name;
}

class TableMaker {
 public:
  TableMaker(const Plan& plan, std::int64_t rows) : plan_(plan), rows_(rows) {}

  PlanTable make() {
    taken_.resize(plan_.graph.values.size(), false);
    for (const PlannedStep& step : plan_.prologue) add_step(step, "once");
    for (const PlannedStep& step : plan_.shard) {
      const bool forward = plan_.graph.node(step.node).phase == Phase::forward;
      add_step(step, forward ? "forward" : "backward");
    }
    put_fused_behind_hosts();
    for (const LayerRow& row : table_.layers) {
      table_.total.parameters += row.parameters;
      table_.total.forward_flops += row.forward_flops;
      table_.total.backward_flops += row.backward_flops;
      table_.total.activation_bytes += row.activation_bytes;
    }
    return std::move(table_);
  }

 private:
  LayerRow& row_of(const std::string& layer) {
    const auto [found, fresh] = rows_by_layer_.try_emplace(layer, table_.layers.size());
    if (fresh) table_.layers.push_back({.layer = layer});
    return table_.layers[found->second];
  }

  void add_step(const PlannedStep& step, std::string_view section) {
    const Node& node = plan_.graph.node(step.node);
    const bool is_reference = is_reference_implementation(step.implementation);
    table_.steps.push_back({section, node.layer, node.op->name, step.implementation, is_reference});
    table_.reference_steps += is_reference ? 1 : 0;
    // What runs once per update (casts, reordered weights) is no layer's work on an image.
    if (section == "once") return;
    LayerRow& row = row_of(node.layer);
    row.is_reference = row.is_reference || is_reference;
    if (std::find(row.implementations.begin(), row.implementations.end(), step.implementation) ==
        row.implementations.end()) {
      row.implementations.push_back(step.implementation);
    }
    const double flops = node.op->flops ? node.op->flops(plan_.graph, node) / static_cast<double>(rows_) : 0;
    (node.phase == Phase::forward ? row.forward_flops : row.backward_flops) += flops;
    if (node.phase == Phase::forward) {
      add_forward(row, node, step.implementation);
    } else {
      find_host(row, node);
    }
  }

  /// A layer without forward steps was fused into the one whose output its backward step reads.
  void find_host(LayerRow& row, const Node& node) {
    if (!row.op.empty()) return;
    for (const ValueId input : node.inputs) {
      const NodeId producer = input == kNoValue ? -1 : plan_.graph.value(input).producer;
      if (producer < 0 || plan_.graph.node(producer).phase != Phase::forward) continue;
      row.op = "fused into " + plan_.graph.node(producer).layer;
      hosts_[row.layer] = plan_.graph.node(producer).layer;
      return;
    }
  }

  void put_fused_behind_hosts() {
    std::map<std::string, std::vector<LayerRow>, std::less<>> fused;
    std::vector<LayerRow> rows;
    for (LayerRow& row : table_.layers) {
      const auto host = hosts_.find(row.layer);
      const bool moves = host != hosts_.end() && hosts_.count(host->second) == 0;
      (moves ? fused[host->second] : rows).push_back(std::move(row));
    }
    table_.layers.clear();
    for (LayerRow& row : rows) {
      const std::string layer = row.layer;
      table_.layers.push_back(std::move(row));
      std::vector<LayerRow>& behind = fused[layer];
      std::move(behind.begin(), behind.end(), std::back_inserter(table_.layers));
    }
  }

  void add_forward(LayerRow& row, const Node& node, const std::string& implementation) {
    append_once(row.op, node.op->name);
    append_once(row.implementation, implementation);
    row.output = output_text(plan_.graph.value(node.outputs[0]).shape, rows_);
    for (const ValueId input : node.inputs) add_parameters(row, input);
    for (const ValueId output : node.outputs) {
      if (output == kNoValue || !is_new_memory(node, output)) continue;
      row.activation_bytes += buffer(output).bytes / static_cast<std::size_t>(rows_);
    }
  }

  /// Counts a parameter with its first reader, looking through what the prologue made of it.
  void add_parameters(LayerRow& row, ValueId id) {
    if (id == kNoValue) return;
    const Value& value = plan_.graph.value(id);
    if (value.role == Role::computed && value.producer >= 0 && buffer(id).arena == Arena::shared) {
      for (const ValueId input : plan_.graph.node(value.producer).inputs) add_parameters(row, input);
    }
    if (value.role != Role::parameter || taken_[static_cast<std::size_t>(id)]) return;
    taken_[static_cast<std::size_t>(id)] = true;
    row.parameters += value.shape.elements();
    row.parameter_formula += (row.parameter_formula.empty() ? "" : " + ") + formula_of(value.shape);
  }

  const Buffer& buffer(ValueId id) const { return plan_.buffers[static_cast<std::size_t>(id)]; }

  /// Not a view, and not in the place of an input.
  bool is_new_memory(const Node& node, ValueId output) const {
    const Buffer& place = buffer(output);
    if (place.arena != Arena::lane) return false;
    return std::none_of(node.inputs.begin(), node.inputs.end(), [&](ValueId input) {
      return input != kNoValue && buffer(input).arena == Arena::lane && buffer(input).offset == place.offset;
    });
  }

  const Plan& plan_;
  std::int64_t rows_;
  PlanTable table_;
  std::map<std::string, std::size_t, std::less<>> rows_by_layer_;
  std::map<std::string, std::string, std::less<>> hosts_;  // by fused layer
  std::vector<bool> taken_;                                // per value: a parameter that is counted already
};

}  // namespace

PlanTable make_plan_table(const Plan& plan, std::int64_t rows) {
  return TableMaker(plan, rows).make();
}

}  // namespace athanor
