#include "backend/cpu/inner_product.h"

#include <utility>

#include "backend/cpu/onednn.h"
#include "graph/op.h"

namespace athanor::cpu {

using dnnl::memory;
using Tag = memory::format_tag;

InnerProduct inner_product_of(const Graph& graph, const Node& node) {
  InnerProduct product{
      .x = &graph.value(node.inputs[0]), .weight = &graph.value(node.inputs[1]), .y = &graph.value(node.outputs[0])};
  if (node.op->name == "linear") {
    product.has_bias = node.inputs.size() > 2 && node.inputs[2] != kNoValue;
    product.relu = node.attributes.text("activation") == "relu";
  } else if (node.op->name == "linear_backward_data") {
    product.direction = Direction::backward_data;
    std::swap(product.x, product.y);
  } else {
    product.direction = Direction::backward_weights;
    std::swap(product.weight, product.y);
    product.has_bias = node.attributes.flag("bias");
  }
  return product;
}

std::optional<ProductPrimitive> make_inner_product(const InnerProduct& product, const MatrixLayouts& layouts) {
  const auto matrix = [](const Value& value, DType dtype, Tag tag) {
    return memory::desc({value.shape[0], value.shape[1]}, onednn_type(dtype), tag);
  };
  const memory::desc x = matrix(*product.x, product.x->dtype, layouts.activations);
  const memory::desc y = matrix(*product.y, product.y->dtype, layouts.activations);
  const memory::desc bias =
      product.has_bias ? memory::desc({product.y->shape[1]}, onednn_type(DType::f32), Tag::a) : memory::desc();
  // The forward product's weights have the activations' type, also where the gradient is float32.
  return make_primitive(
      InnerProductRequest{.direction = product.direction,
                          .operands = {x, matrix(*product.weight, product.weight->dtype, layouts.weight), bias, y},
                          .forward = {x, matrix(*product.weight, product.x->dtype, layouts.weight), {}, y},
                          .relu = product.relu});
}

}  // namespace athanor::cpu
