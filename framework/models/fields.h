// Settings that most models share, so that they read alike in every recipe.
#pragma once

#include <string>
#include <utility>

#include "config/schema.h"
#include "graph/ops/initializers.h"

namespace athanor {

inline Field classes_field(std::int64_t usual) {
  return integer("classes", usual, "Outputs of the last layer.").at_least(1);
}

inline Field init_field(std::string usual) {
  return text("init", std::move(usual), "How the weights start; `he` leaves the last layer to `torch`.")
      .one_of(ops::kInitializerNames);
}

inline Field synchronized_field() {
  return boolean(
      "synchronized_batch_norm", false,
      "Whether every batch norm is `batch_norm: {synchronized: true}`: statistics of the global batch instead "
      "of the shard's own.");
}

inline Field ratio_field() {
  return integer("ratio", 16, "Channels per hidden feature of squeeze-and-excitation.").at_least(1);
}

}  // namespace athanor
