// A value of one number a channel, for passes that let a node give more than it did.
#pragma once

#include <fmt/format.h>

#include "graph/graph.h"

namespace athanor {

/// Adds a computed float32 value [C] to the graph, for the channels of an image of the graph and by the same node.
inline ValueId add_channel_value(Graph& graph, ValueId image, const char* name) {
  const Value& of = graph.value(image);
  Value value{.name = fmt::format("{}.{}", of.name, name),
              .shape = {of.shape[1]},
              .dtype = DType::f32,
              .role = Role::computed,
              .producer = of.producer};
  graph.values.push_back(std::move(value));
  return static_cast<ValueId>(graph.values.size() - 1);
}

}  // namespace athanor
