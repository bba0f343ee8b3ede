// What a node's attributes say to the kernels of any back end.
#pragma once

#include "graph/graph.h"
#include "kernels/elementwise.h"

namespace athanor {

/// Which kernel a node means, where its op is registered for `registered`: gelu has two forms.
inline kernels::Activation activation_of(const Node& node, kernels::Activation registered) {
  if (registered != kernels::Activation::gelu_erf) return registered;
  return node.attributes.text("approximate") == "tanh" ? kernels::Activation::gelu_tanh : kernels::Activation::gelu_erf;
}

/// Of leaky_relu for negative numbers; 0 for the others.
inline float slope_of(const Node& node, kernels::Activation kind) {
  return kind == kernels::Activation::leaky_relu ? static_cast<float>(node.attributes.real("slope")) : 0.0f;
}

/// Whether a norm or a product has a ReLU fused behind it.
inline bool has_relu(const Node& node) {
  return node.attributes.text("activation") == "relu";
}

}  // namespace athanor
