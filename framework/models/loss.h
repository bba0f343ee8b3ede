// The losses that a recipe can name.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/location.h"
#include "config/attributes.h"
#include "graph/builder.h"

namespace athanor {

/// The recipe's section `loss`: a schema of kind "loss".
struct LossSpec {
  std::string name = "cross_entropy";  ///< cross_entropy, mse or bce_with_logits
  Attributes attributes;               ///< missing ones take their defaults
  Location place;
};

struct LossValues {
  ValueId mean;  ///< float32 [1], over the shard: with class weights, Σ of per_sample / Σ of the labels' weights
  ValueId per_sample;  ///< float32 [N], times the label's class weight
};

/// One factor per class, as the recipe gives them; empty: all 1. `loss`: the attributes of any loss.
std::vector<double> class_weights_of(const Attributes& loss);

/// Adds the loss of float32 logits [N, classes] against int32 labels [N] (−1: masked out). Losses other than
/// cross-entropy compare with the one-hot label. Throws UsageError for an unknown name, or class weights that are not
/// one per class.
LossValues build_loss(Builder& builder, ValueId logits, ValueId labels, const LossSpec& loss);

}  // namespace athanor
