// Small helpers that many op files share: unpacking window attributes, shape checks and FLOP rules.
#pragma once

#include <array>
#include <string_view>

#include "graph/builder.h"
#include "graph/layer.h"
#include "graph/op.h"

namespace athanor::ops {

/// [height, width].
using Pair = std::array<std::int64_t, 2>;

/// An attribute that holds one or two integers: `3` means [3, 3].
inline Pair pair_of(const Attributes& attributes, std::string_view name) {
  const std::vector<std::int64_t>& values = attributes.integers(name);
  ATHANOR_CHECK(values.size() == 1 || values.size() == 2, "'{}' has {} values", name, values.size());
  return {values.front(), values.back()};
}

inline std::vector<std::int64_t> list_of(const Pair& pair) {
  return {pair[0], pair[1]};
}

/// The fields of several lists, in their order.
inline std::vector<Field> joined(std::initializer_list<std::vector<Field>> lists) {
  std::vector<Field> all;
  for (const std::vector<Field>& list : lists) all.insert(all.end(), list.begin(), list.end());
  return all;
}

/// What the fusion pass puts after a node; a network is built with `none`.
inline Field activation_field() {
  return text("activation", "none", "What follows in the same step.").one_of({"none", "relu"});
}

/// [height, width] of the forward op's input, which a window's output does not tell.
inline Field input_size_field() {
  return integers("input_size", std::nullopt, "Height and width of the forward op's input.").at_least(1).of_length({2});
}

/// Throws ShapeMismatch unless the value has that rank. `what` names it: "input", "logits".
inline void want_rank(const InferContext& context, std::size_t index, std::size_t rank, std::string_view what) {
  const Shape& shape = context.shape(index);
  if (shape.rank() == rank) return;
  throw ShapeMismatch{fmt::format("the {} has shape {}, want {}", what, shape.text(),
                                  rank == 4   ? "[N, C, H, W]"
                                  : rank == 2 ? "[N, F]"
                                              : fmt::format("rank {}", rank))};
}

/// Outputs of one type with the shape and dtype of input 0.
inline std::vector<TensorType> like_first(const InferContext& context) {
  return {{context.shape(0), context.dtype(0)}};
}

/// `per_element` FLOPs for each element of the first output.
inline FlopsRule per_output_element(double per_element) {
  return [per_element](const Graph& graph, const Node& node) {
    return per_element * static_cast<double>(graph.value(node.outputs.front()).shape.elements());
  };
}

}  // namespace athanor::ops
