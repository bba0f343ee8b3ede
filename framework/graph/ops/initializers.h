// The named ways in which weights start.
#pragma once

#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "graph/graph.h"

namespace athanor::ops {

/// Names that a layer's `init` attribute takes.
inline const std::vector<std::string> kInitializerNames{"he", "xavier", "torch"};

/// He et al. 2015 (fan-out, gain √2, normal) · Glorot and Bengio 2010 (uniform) · PyTorch's default (uniform
/// ±1/√fan_in, which is its kaiming_uniform with a = √5).
inline Initializer weight_initializer(std::string_view name, std::int64_t fan_in, std::int64_t fan_out) {
  if (name == "xavier") {
    return {.kind = "uniform", .value = 0, .bound = std::sqrt(6.0 / static_cast<double>(fan_in + fan_out))};
  }
  if (name == "torch") return {.kind = "uniform", .value = 0, .bound = 1.0 / std::sqrt(static_cast<double>(fan_in))};
  return {.kind = "normal", .value = 0, .bound = std::sqrt(2.0 / static_cast<double>(fan_out))};
}

/// PyTorch's default for the bias of a layer, ±1/√fan_in; He and Xavier start biases at zero.
inline Initializer bias_initializer(std::string_view name, std::int64_t fan_in) {
  if (name == "torch") return {.kind = "uniform", .value = 0, .bound = 1.0 / std::sqrt(static_cast<double>(fan_in))};
  return {.kind = "constant", .value = 0, .bound = 0};
}

inline Initializer constant_initializer(double value) {
  return {.kind = "constant", .value = value, .bound = 0};
}

}  // namespace athanor::ops
