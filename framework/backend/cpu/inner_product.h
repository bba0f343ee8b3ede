// Matrix products of linear layers by oneDNN: what one is, and its primitive for given layouts.
#pragma once

#include <optional>

#include "backend/cpu/onednn_primitives.h"
#include "graph/graph.h"

namespace athanor::cpu {

/// Shapes are logical: x [N, F], weight [O, F], y [N, O].
struct InnerProduct {
  Direction direction = Direction::forward;
  const Value* x = nullptr;
  const Value* weight = nullptr;
  const Value* y = nullptr;
  bool has_bias = false;
  bool relu = false;
};

/// Of a node `linear`, `linear_backward_data` or `linear_backward_weights`. Points into the graph.
InnerProduct inner_product_of(const Graph& graph, const Node& node);

/// How activations and weights lie: row-major unless something else is said.
struct MatrixLayouts {
  dnnl::memory::format_tag activations = dnnl::memory::format_tag::ab;
  dnnl::memory::format_tag weight = dnnl::memory::format_tag::ab;
};

/// The primitive, or none where oneDNN has none for these layouts.
std::optional<ProductPrimitive> make_inner_product(const InnerProduct& product, const MatrixLayouts& layouts);

}  // namespace athanor::cpu
