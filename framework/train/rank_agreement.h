// Ranks that compute different things must not start: their sums would be of nothing. What makes a run is compared over
// the ranks before step 0, and a difference is named.
#pragma once

#include <functional>
#include <string>

#include "backend/backend.h"
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

/// Runs `plan` on every rank, with what rank 0 measures in it: measuring gives each rank another choice. Collective.
void plan_alike(Communicator& communicator, const Backend& backend, const std::function<void()>& plan);

/// Where the processors of the ranks have different instruction sets, says so on rank 0 and, with `deterministic`, lets
/// all use the lowest, so that they compute the same bits. Before anything is planned. Collective.
void use_common_isa(Communicator& communicator, bool deterministic);

}  // namespace athanor
