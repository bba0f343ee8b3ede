#include "graph/builder.h"

#include <algorithm>

#include "config/complete_attributes.h"

namespace athanor {

std::string Builder::qualified(std::string_view name) const {
  return scope_.empty() ? std::string(name) : fmt::format("{}.{}", scope_, name);
}

ValueId Builder::input(std::string_view name, const Shape& shape, DType dtype) {
  graph_.values.push_back({.name = std::string(name), .shape = shape, .dtype = dtype, .role = Role::input});
  return static_cast<ValueId>(graph_.values.size() - 1);
}

ValueId Builder::input_named(std::string_view name) const {
  for (std::size_t id = 0; id < graph_.values.size(); ++id) {
    if (graph_.values[id].role == Role::input && graph_.values[id].name == name) return static_cast<ValueId>(id);
  }
  ATHANOR_CHECK(false, "the graph has no input '{}'", name);
}

ValueId Builder::parameter(std::string_view name, const Shape& shape, const Initializer& initializer) {
  graph_.values.push_back(
      {.name = qualified(name), .shape = shape, .role = Role::parameter, .initializer = initializer});
  return static_cast<ValueId>(graph_.values.size() - 1);
}

ValueId Builder::statistic(std::string_view name, const Shape& shape, double start) {
  graph_.values.push_back({.name = qualified(name),
                           .shape = shape,
                           .role = Role::statistic,
                           .initializer = {.kind = "constant", .value = start, .bound = 0}});
  return static_cast<ValueId>(graph_.values.size() - 1);
}

ValueId Builder::constant(std::string_view name, const Shape& shape, std::vector<float> values) {
  ATHANOR_CHECK(static_cast<std::int64_t>(values.size()) == shape.elements());
  graph_.values.push_back(
      {.name = qualified(name), .shape = shape, .role = Role::constant, .constant = std::move(values)});
  return static_cast<ValueId>(graph_.values.size() - 1);
}

std::vector<ValueId> Builder::add(std::string_view op_name, std::vector<ValueId> inputs, Attributes attributes) {
  const OpDef& op = op_named(op_name);
  const std::string problem = complete_attributes(op.attributes, attributes);
  if (!problem.empty()) fail(fmt::format("op {}: {}", op.name, problem));
  std::vector<const Value*> input_values;
  for (const ValueId id : inputs) input_values.push_back(id == kNoValue ? nullptr : &graph_.value(id));

  std::vector<TensorType> types;
  try {
    types = op.infer({input_values, attributes});
  } catch (const ShapeMismatch& mismatch) {
    fail(mismatch.message);
  }
  Node node{.op = &op,
            .attributes = std::move(attributes),
            .inputs = std::move(inputs),
            .outputs = {},
            .layer = scope_,
            .place = place,
            .phase = phase};
  const auto node_id = static_cast<NodeId>(graph_.nodes.size());
  for (std::size_t i = 0; i < types.size(); ++i) {
    std::string name = fmt::format("{}:{}{}", scope_, op.name, i == 0 ? "" : fmt::format(".{}", i));
    graph_.values.push_back({.name = std::move(name),
                             .shape = types[i].shape,
                             .dtype = types[i].dtype,
                             .role = Role::computed,
                             .producer = node_id});
    node.outputs.push_back(static_cast<ValueId>(graph_.values.size() - 1));
  }
  graph_.nodes.push_back(std::move(node));
  return graph_.nodes.back().outputs;
}

ValueId Builder::in_compute_dtype(ValueId weight) {
  if (graph_.value(weight).dtype == compute_dtype) return weight;
  return add1("cast", {weight}, {{"dtype", std::string(name_of(compute_dtype))}});
}

void Builder::fail(std::string_view message) const {
  const std::string where = place.text();
  throw UsageError("layer {}{}: {}", scope_.empty() ? "(input)" : scope_, where.empty() ? "" : " (" + where + ")",
                   message);
}

Scope::Scope(Builder& builder, std::string_view name)
    : builder_(builder), outer_(builder.scope_), outer_place_(builder.place) {
  if (!name.empty()) builder.scope_ = builder.qualified(name);
}

void Scope::set(Builder& builder, const std::string& layer, const Location& place) {
  builder.scope_ = layer;
  builder.place = place;
}

Scope::~Scope() {
  builder_.scope_ = std::move(outer_);
  builder_.place = std::move(outer_place_);
}

}  // namespace athanor
