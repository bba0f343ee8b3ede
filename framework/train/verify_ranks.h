// Ranks hold the same weights, bit for bit. A broken memory or link may change that without anyone noticing: now and
// then they compare.
#pragma once

#include <cstdint>

#include "backend/executable.h"
#include "comm/communicator.h"

namespace athanor {

/// Compares a hash of every parameter and running statistic over the ranks after `step` updates. Throws NumericsError
/// on all ranks alike that names the ranks that differ from most others, and the first tensor that does. Collective;
/// free in a world of one.
void want_same_weights(const Executable& executable, Communicator& communicator, std::int64_t step);

}  // namespace athanor
