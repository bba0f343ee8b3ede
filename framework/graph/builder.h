// Adds nodes to a graph: runs shape rules, names values after the layer in hand, and turns a shape that does not fit
// into an error that names the layer, its place in the recipe and the shapes.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "graph/graph.h"
#include "graph/op.h"

namespace athanor {

class Builder {
 public:
  explicit Builder(Graph& graph) : graph_(graph) {}

  Graph& graph() { return graph_; }
  Shape shape(ValueId id) const { return graph_.value(id).shape; }

  /// Training graphs use batch statistics and dropout; evaluation graphs use running statistics and neither.
  bool training = true;
  /// Element type of activations and of the weights that convolutions and matrix products read.
  DType compute_dtype = DType::f32;
  /// Shards of the batch, for layers that look beyond their own.
  std::int64_t shards = 1;
  /// Phase that new nodes get.
  Phase phase = Phase::forward;

  /// A value that the batch fills. `name`: "images", "labels", "sample_indices", "epoch", "transforms".
  ValueId input(std::string_view name, const Shape& shape, DType dtype);
  /// The input of that name if the graph has it; a broken invariant otherwise.
  ValueId input_named(std::string_view name) const;
  /// A float32 parameter "SCOPE.name".
  ValueId parameter(std::string_view name, const Shape& shape, const Initializer& initializer);
  /// A float32 running statistic "SCOPE.name" that starts at `start`.
  ValueId statistic(std::string_view name, const Shape& shape, double start);
  ValueId constant(std::string_view name, const Shape& shape, std::vector<float> values);

  /// Adds a node of an op and returns its outputs; attributes that are not given take the op's defaults. Throws
  /// UsageError when the shapes do not fit, or an attribute is not one that the op has.
  std::vector<ValueId> add(std::string_view op, std::vector<ValueId> inputs, Attributes attributes = {});
  /// The same for ops with one output, or whose first output is the one wanted.
  ValueId add1(std::string_view op, std::vector<ValueId> inputs, Attributes attributes = {}) {
    return add(op, std::move(inputs), std::move(attributes)).front();
  }
  /// `weight` in the compute dtype: a cast where they differ, once per step for all shards.
  ValueId in_compute_dtype(ValueId weight);

  /// Dotted name of the layer in hand: "stage2.block1.conv1".
  const std::string& scope() const { return scope_; }
  /// Throws the UsageError of a layer that does not fit: "LAYER (PLACE): message".
  [[noreturn]] void fail(std::string_view message) const;

  Location place;  ///< of the layer in hand

 private:
  friend class Scope;
  std::string qualified(std::string_view name) const;

  Graph& graph_;
  std::string scope_;
};

/// While it lives, names get the prefix "NAME.": `Scope stage(builder, "stage1");`. Restores scope and place.
class Scope {
 public:
  Scope(Builder& builder, std::string_view name);
  Scope(Builder& builder, std::string_view name, const Location& place) : Scope(builder, name) {
    builder.place = place;
  }
  /// Takes the exact dotted name of an existing node (used by the gradient pass).
  static void set(Builder& builder, const std::string& layer, const Location& place);
  ~Scope();
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;

 private:
  Builder& builder_;
  std::string outer_;
  Location outer_place_;
};

}  // namespace athanor
