// The numbers that parameters start from.
#pragma once

#include <cstdint>
#include <span>

#include "graph/graph.h"

namespace athanor {

/// Fills `out`, one float per element in logical order ([O, I, KH, KW] row-major), by the value's Initializer. A number
/// depends on (seed, name, position) alone: not on other parameters, their order, or who asks.
void initialize(const Value& value, std::uint64_t seed, std::span<float> out);

}  // namespace athanor
