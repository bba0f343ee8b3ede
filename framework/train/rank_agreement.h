// Ranks that compute different things must not start: their sums would be of nothing. What makes a run is compared over
// the ranks before step 0, and a difference is named.
#pragma once

#include <string>

#include "comm/communicator.h"
#include "graph/plan.h"
#include "train/hardware.h"
#include "train/recipe.h"
#include "train/run_data.h"

namespace athanor {

/// All functions are collective and throw on all ranks alike (OnAllRanks), naming the first rank that differs from rank
/// 0 and in what.

/// `program`: version, libraries and compiler. Throws UsageError.
void want_same_program(Communicator& communicator, const std::string& program);
/// Every key but data.path, which may differ between hosts. Throws UsageError.
void want_same_recipe(Communicator& communicator, const Recipe& recipe);
/// What was planned, by fingerprint. Throws UsageError.
void want_same_plans(Communicator& communicator, const Plan& training, const Plan& evaluation);
/// Names, sizes and fingerprints of both splits. Throws DataError.
void want_same_data(Communicator& communicator, const RunData& data);

/// The instruction sets of the ranks where they differ, "avx512 on node1, avx2 on node2"; empty where they are one. The
/// lowest is in `common`. Collective.
std::string mixed_instruction_sets(Communicator& communicator, const std::string& own, std::string& common);

}  // namespace athanor
