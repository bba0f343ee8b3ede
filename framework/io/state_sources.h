// Between what an executable calls its state and where a checkpoint keeps it.
#pragma once

#include <string>
#include <vector>

#include "backend/executable.h"
#include "io/checkpoint_file.h"

namespace athanor {

/// Group and name of an entry in a checkpoint: {"optimizer/exp_avg", "fc.weight"} for the entry "exp_avg/fc.weight".
struct StatePlace {
  std::string group;
  std::string name;
};
StatePlace place_of(const StateEntry& entry);

/// All `entries` (of Executable::list_state) of a snapshot, which must outlive the sources.
std::vector<TensorSource> state_sources(const std::vector<StateEntry>& entries, const StateSnapshot& snapshot);

}  // namespace athanor
