// What an op is to the graph: its attributes, its shape rule, its cost, and its gradient as further nodes. Ops register
// themselves, each in a file of its own under graph/ops/, together with the recipe layers that make them; back ends
// register how they run.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/schema.h"
#include "graph/graph.h"

namespace athanor {

class Builder;

/// Shape and element type of a value.
struct TensorType {
  Shape shape;
  DType dtype = DType::f32;
};

/// What a shape rule sees. Absent optional inputs are nullptr.
struct InferContext {
  std::span<const Value* const> inputs;
  const Attributes& attributes;

  bool has(std::size_t index) const { return index < inputs.size() && inputs[index] != nullptr; }
  const Shape& shape(std::size_t index) const { return inputs[index]->shape; }
  DType dtype(std::size_t index) const { return inputs[index]->dtype; }
};

/// Thrown by shape rules with what does not fit; Builder adds the layer, its place in the recipe and the shapes.
struct ShapeMismatch {
  std::string message;
};

/// What a gradient rule sees. It adds backward nodes through `builder` and returns one value per input of the node.
struct GradientContext {
  Builder& builder;
  const Graph& graph;
  const Node& node;
  std::span<const ValueId> output_gradients;  ///< kNoValue where no gradient flows
  std::vector<bool> needed;                   ///< per input: whether anyone wants its gradient
};

/// Multiply-adds count as 2, everything else as 1 per element.
using FlopsRule = std::function<double(const Graph&, const Node&)>;

/// Positions of the node's inputs and outputs that its gradient rule reads, beside the gradients of the outputs: what
/// must be kept from forward to backward. Optional ones that are absent are not read. Fusion may add to it: a batch
/// norm with a residual and an activation also reads its output.
struct BackwardNeeds {
  std::vector<std::size_t> inputs = {};
  std::vector<std::size_t> outputs = {};

  friend bool operator==(const BackwardNeeds&, const BackwardNeeds&) = default;
};

/// A node that makes the same bits as output 0 of `node`, from inputs and other outputs of it, for less.
using RemakeRule = std::function<Node(const Node&)>;

struct OpDef {
  std::string name;
  /// What a node may say: Builder::add refuses everything else and fills in the defaults.
  std::vector<Field> attributes = {};
  std::function<std::vector<TensorType>(const InferContext&)> infer;
  FlopsRule flops = {};
  /// Empty for ops that are backward ops themselves or have no gradient; then `no_gradient` says why.
  std::function<std::vector<ValueId>(GradientContext&)> gradient = {};
  std::string no_gradient = {};
  BackwardNeeds backward_needs = {};
  /// How backward makes output 0 again where it was not kept (passes/rematerialize.h); empty: as forward made it.
  RemakeRule remake = {};
  /// (input, output) pairs that may share memory when that input is not needed afterwards.
  std::vector<std::pair<int, int>> in_place = {};
  /// The output is the input's memory under another shape: nothing runs.
  bool is_view = false;
  /// All shards of the batch, on all ranks, meet at this op: input 0 is the shard's own value, output 0 those of all
  /// shards, [shards, …] by global number. The executable moves them.
  bool synchronizes = false;
};

/// Registers an op from a namespace-scope object. A name registered twice aborts.
struct RegisterOp {
  explicit RegisterOp(OpDef op);
};

/// The op of that name; an unknown name is a broken invariant.
const OpDef& op_named(std::string_view name);
/// All registered ops, sorted by name.
std::vector<const OpDef*> registered_ops();

}  // namespace athanor
