// Graphs that the tests of the passes share.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "graph/builder.h"
#include "graph/layer.h"
#include "models/training_graph.h"

namespace athanor::graph_test {

inline ModelSpec cifar_resnet(std::int64_t depth) {
  ModelSpec model;
  model.name = "cifar_resnet";
  model.attributes = {{"depth", depth}};
  return model;
}

inline GraphOptions cifar(std::int64_t batch) {
  return {.batch = batch,
          .channels = 3,
          .height = 32,
          .width = 32,
          .classes = 10,
          .mean = {0.5, 0.5, 0.5},
          .std = {0.25, 0.25, 0.25}};
}

inline std::int64_t count(const Graph& graph, std::string_view op) {
  return std::count_if(graph.nodes.begin(), graph.nodes.end(), [&](const Node& node) { return node.op->name == op; });
}

/// Nodes of an op with that activation.
inline std::int64_t count(const Graph& graph, std::string_view op, std::string_view activation, bool residual) {
  return std::count_if(graph.nodes.begin(), graph.nodes.end(), [&](const Node& node) {
    return node.op->name == op && node.attributes.text("activation") == activation &&
           node.attributes.flag("residual") == residual;
  });
}

inline const Node& only(const Graph& graph, std::string_view op) {
  const auto is_wanted = [&](const Node& node) { return node.op->name == op; };
  ATHANOR_CHECK(count(graph, op) == 1, "{} nodes of {}", count(graph, op), op);
  return *std::find_if(graph.nodes.begin(), graph.nodes.end(), is_wanted);
}

/// Whether every node reads only what earlier nodes, or nobody, make.
inline bool is_ordered(const Graph& graph) {
  std::vector<bool> made(graph.values.size(), false);
  for (std::size_t id = 0; id < made.size(); ++id) made[id] = graph.values[id].role != Role::computed;
  for (const Node& node : graph.nodes) {
    for (const ValueId input : node.inputs) {
      if (input != kNoValue && !made[static_cast<std::size_t>(input)]) return false;
    }
    for (const ValueId output : node.outputs) {
      if (output != kNoValue) made[static_cast<std::size_t>(output)] = true;
    }
  }
  const std::vector<ValueId> roots = graph.roots();
  return std::all_of(roots.begin(), roots.end(), [&](ValueId root) { return made[static_cast<std::size_t>(root)]; });
}

/// Input "x" of that shape, and a builder for what follows.
struct Sketch {
  explicit Sketch(const Shape& shape) : builder(graph), x(builder.input("x", shape, DType::f32)) {
    labels = builder.input("labels", {shape[0]}, DType::i32);
  }
  ValueId layer(ValueId from, const std::string& kind, const Attributes& attributes, const std::string& name) {
    return build_layer(builder, from, kind, attributes, name);
  }
  ValueId layer(ValueId from, const std::string& kind) { return layer(from, kind, {}, kind); }
  ValueId conv(ValueId from, std::int64_t channels, const std::string& name) {
    return layer(from, "conv", {{"channels", channels}, {"padding", std::vector<std::int64_t>{1}}, {"bias", false}},
                 name);
  }
  /// Ends the network at `y` [N, C, H, W] with a mean, a linear layer and the loss.
  void finish(ValueId y) {
    const ValueId logits = layer(layer(y, "global_avg_pool"), "linear", {{"features", std::int64_t{3}}}, "fc");
    graph.loss = builder.add1("cross_entropy", {logits, labels, kNoValue}, {{"label_smoothing", 0.0}});
  }

  Graph graph;
  Builder builder;
  ValueId x;
  ValueId labels;
};

}  // namespace athanor::graph_test
