// The model as data: ops are nodes, tensors are values. One graph holds the forward and the backward pass of ONE SHARD,
// so every pass sees both. Built before step 0, never looked at in the step loop.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/dtype.h"
#include "base/location.h"
#include "base/shape.h"
#include "config/attributes.h"

namespace athanor {

using ValueId = std::int32_t;
using NodeId = std::int32_t;
/// Stands in a node's inputs or outputs for an optional tensor that is absent.
inline constexpr ValueId kNoValue = -1;

enum class Role : std::uint8_t {
  input,      ///< filled from the batch before every step (images, labels, sample indices, epoch)
  parameter,  ///< trained; shared by all shards
  statistic,  ///< running statistics; shared by all shards
  constant,   ///< fixed numbers given with the graph (class weights)
  computed    ///< the output of a node
};

/// How a parameter starts. The numbers come from the counter-based generator keyed by the parameter's name.
struct Initializer {
  std::string kind = "constant";  ///< "constant", "uniform" (±bound) or "normal" (standard deviation = bound)
  double value = 0;               ///< for "constant"
  double bound = 0;
};

struct Value {
  std::string name;  ///< "stage2.block1.conv1.weight"; computed values: "LAYER:output"
  Shape shape;       ///< logical: [N, C, H, W], [N, F], [O, I/g, KH, KW], [C], …
  DType dtype = DType::f32;
  Role role = Role::computed;
  NodeId producer = -1;
  /// The value whose bits a recomputed one has; kNoValue for all others. Passes add such values behind all others.
  ValueId copy_of = kNoValue;
  Initializer initializer;      ///< for parameters and statistics
  std::vector<float> constant;  ///< for constants, logical order
};

enum class Phase : std::uint8_t { forward, backward };

struct OpDef;

struct Node {
  const OpDef* op = nullptr;
  Attributes attributes;
  std::vector<ValueId> inputs;
  std::vector<ValueId> outputs;
  std::string layer;  ///< "stage2.block1.conv1": what errors, tables and traces call it
  Location place;     ///< where the recipe says so
  Phase phase = Phase::forward;
};

/// A parameter and the value that holds its gradient, in the order in which backward finishes them.
struct ParameterGradient {
  ValueId parameter;
  ValueId gradient;
};

/// running ← (1 − momentum) · running + momentum · (mean of `contribution` over the shards).
struct StatisticUpdate {
  ValueId statistic;
  ValueId contribution;
  double momentum;
};

/// A number that every shard reports and the tree sums: "loss" (mean over the shard), "correct", "correct_top5".
struct Metric {
  std::string name;
  ValueId value;
};

/// Plain data. Nodes stand in an order in which they can run. Passes take a Graph and return a Graph.
struct Graph {
  std::vector<Value> values;
  std::vector<Node> nodes;
  ValueId loss = kNoValue;       ///< the scalar that is differentiated
  std::vector<ValueId> outputs;  ///< kept for the caller (logits, per-sample loss)
  std::vector<ParameterGradient> gradients;
  std::vector<StatisticUpdate> statistics;
  std::vector<Metric> metrics;

  const Value& value(ValueId id) const { return values[static_cast<std::size_t>(id)]; }
  Value& value(ValueId id) { return values[static_cast<std::size_t>(id)]; }
  const Node& node(NodeId id) const { return nodes[static_cast<std::size_t>(id)]; }
  /// The value that `id` is a copy of, or `id` itself.
  ValueId original_of(ValueId id) const {
    return id == kNoValue || value(id).copy_of == kNoValue ? id : value(id).copy_of;
  }
  /// Whether the node makes again what another node has made.
  bool is_copy(const Node& node) const { return original_of(node.outputs.front()) != node.outputs.front(); }

  /// Every value that must be computed: loss, outputs, gradients, statistic contributions and metrics.
  std::vector<ValueId> roots() const;
  /// The value of that name, or kNoValue. Linear: for set-up and tests.
  ValueId find(std::string_view name) const;
  /// The values of a role, in order of creation.
  std::vector<ValueId> of_role(Role role) const;
  /// Sum of the elements of all parameters.
  std::int64_t parameter_count() const;
};

/// Renumbers producers after nodes were moved, removed or added.
void refresh_producers(Graph& graph);

}  // namespace athanor
