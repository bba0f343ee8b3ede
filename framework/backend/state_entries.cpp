#include "backend/state_entries.h"

#include <algorithm>

#include "base/error.h"

namespace athanor {

std::vector<StateEntry> list_state_entries(const Plan& plan, const OptimizerSpec& optimizer, bool has_averages) {
  std::vector<StateEntry> entries;
  const auto add = [&](StateKind kind, const std::string& prefix, const StateTensor& tensor) {
    entries.push_back({kind, prefix + tensor.name, plan.graph.value(tensor.value).shape});
  };
  for (const StateTensor& tensor : plan.state) {
    add(tensor.is_statistic ? StateKind::statistic : StateKind::parameter, "", tensor);
  }
  if (plan.is_training()) {
    for (const StateSlot& slot : optimizer.slots) {
      for (const StateTensor& tensor : plan.state) {
        if (!tensor.is_statistic) add(StateKind::optimizer, slot.name + "/", tensor);
      }
    }
  }
  if (has_averages) {
    for (const StateTensor& tensor : plan.state) add(StateKind::average, "", tensor);
  }
  return entries;
}

StatePlace find_state_entry(const Plan& plan, const OptimizerSpec& optimizer, const StateEntry& entry) {
  std::string name = entry.name;
  StatePlace place;
  if (entry.kind == StateKind::average) place.arena = kAverageArena;
  if (entry.kind == StateKind::optimizer) {
    const std::size_t slash = name.find('/');
    for (std::size_t slot = 0; slot < optimizer.slots.size(); ++slot) {
      if (optimizer.slots[slot].name == name.substr(0, slash)) place.arena = kFirstSlotArena + slot;
    }
    name = name.substr(slash + 1);
  }
  const auto tensor =
      std::find_if(plan.state.begin(), plan.state.end(), [&](const StateTensor& held) { return held.name == name; });
  ATHANOR_CHECK(tensor != plan.state.end(), "no state '{}'", entry.name);
  place.tensor = &*tensor;
  return place;
}

}  // namespace athanor
