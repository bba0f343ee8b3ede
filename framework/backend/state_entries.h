// The named tensors of everything that outlives a step, and the arenas that hold them: the same on every back end.
#pragma once

#include <cstddef>
#include <vector>

#include "backend/executable.h"
#include "graph/plan.h"
#include "optim/optimizer.h"

namespace athanor {

/// Arenas by number: the state, its averages, then the optimizer's slots in their order.
inline constexpr std::size_t kStateArena = 0, kAverageArena = 1, kFirstSlotArena = 2;

/// A tensor, and the arena that holds it.
struct StatePlace {
  const StateTensor* tensor = nullptr;
  std::size_t arena = kStateArena;
};

/// Parameters and statistics, the tensors of each slot ("exp_avg/stage1.conv.weight"), then averages where there are
/// any.
std::vector<StateEntry> list_state_entries(const Plan& plan, const OptimizerSpec& optimizer, bool has_averages);

/// An entry that does not exist is a broken invariant.
StatePlace find_state_entry(const Plan& plan, const OptimizerSpec& optimizer, const StateEntry& entry);

}  // namespace athanor
