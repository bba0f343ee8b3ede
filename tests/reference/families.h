// The families of reference ops, one file each, gathered by registry.cpp.
#pragma once

#include <string>
#include <vector>

#include "reference/reference.h"

namespace athanor::reference {

std::vector<ReferenceOp> convolution_ops();
std::vector<ReferenceOp> linear_ops();
std::vector<ReferenceOp> batch_norm_ops();
std::vector<ReferenceOp> synchronized_batch_norm_ops();
std::vector<ReferenceOp> sample_norm_ops();
std::vector<ReferenceOp> activation_ops();
std::vector<ReferenceOp> pooling_ops();
std::vector<ReferenceOp> shape_ops();
std::vector<ReferenceOp> arithmetic_ops();
std::vector<ReferenceOp> random_ops();
std::vector<ReferenceOp> loss_ops();
std::vector<ReferenceOp> input_ops();

using Gradients = std::vector<std::optional<Result>>;

/// One of the choices, evenly.
inline std::int64_t pick(RandomStream& stream, const std::vector<std::int64_t>& choices) {
  return choices[stream.below(static_cast<std::uint32_t>(choices.size()))];
}
/// An integer in [low, high].
inline std::int64_t between(RandomStream& stream, std::int64_t low, std::int64_t high) {
  return low + stream.below(static_cast<std::uint32_t>(high - low + 1));
}
inline bool coin(RandomStream& stream) {
  return stream.below(2) == 0;
}

/// Channels that fill blocked layouts (8, 16), overhang them, or are far from them.
inline std::int64_t pick_channels(RandomStream& stream) {
  return pick(stream, {1, 2, 3, 5, 7, 8, 13, 16, 17, 32, 64});
}
/// [N, C, H, W] of at most a few thousand elements, 1x1 images among them.
inline Extents pick_image_shape(RandomStream& stream) {
  const std::int64_t channels = pick_channels(stream);
  const std::int64_t widest = channels > 16 ? 5 : 9;
  return {between(stream, 1, 3), channels, between(stream, 1, widest), between(stream, 1, widest)};
}

inline bool has_relu(const Attributes& attributes) {
  return attribute_or<std::string>(attributes, "activation", "none") == "relu";
}

/// Draws cases until no value under a fused ReLU lies within 2^-12 of 0, where a mask could flip by rounding.
/// `pre_activations` gives those values.
Case draw_away_from_kinks(RandomStream& stream, const std::function<Case(RandomStream&)>& draw,
                          const std::function<Numbers(const Case&)>& pre_activations);

}  // namespace athanor::reference
