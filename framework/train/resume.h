// Going on from a checkpoint, and starting a new run from one's weights.
#pragma once

#include <span>
#include <string>

#include "backend/backend.h"
#include "comm/communicator.h"
#include "train/checkpoint_meta.h"
#include "train/recipe.h"
#include "train/stored_run.h"

namespace athanor {

/// Before the batch is cut: shards and threads that the recipe leaves open are the checkpoint's, and kernels use no
/// better instruction set than it did.
void adopt_choices(Recipe& recipe, const StoredRun& stored);

/// Before the plan: what the checkpoint's run measured, where that was a back end of this kind.
void adopt_measured_choices(const Backend& backend, const StoredRun& stored);

/// After the plan: throws UsageError, first difference by name, where the checkpoint is of another recipe (`asked`, as
/// given), data set or plan; DeviceError where this machine cannot compute what it computed, unless train.deterministic
/// is false, which makes that a warning.
void want_same_run(const StoredRun& stored, const Recipe& asked, const RunFacts& facts, std::int64_t total_steps);

/// Writes every tensor of the checkpoint into the executable. Throws UsageError that lists the first differences where
/// it is another network's or optimizer's. Collective; all ranks throw alike.
void restore_state(Executable& executable, Communicator& communicator, const StoredRun& stored);

/// For evaluation: writes parameters and running statistics alone, or the averaged ones in their place. Throws
/// UsageError that lists the first differences where it is another network's. Collective; all ranks throw alike.
void restore_weights(Executable& executable, Communicator& communicator, const StoredRun& stored, bool averaged);

/// After the plan: throws UsageError where tensors of the file that load_weights would take have other shapes.
void want_fitting_weights(const StoredRun& stored, const Plan& plan, std::span<const std::string> reset);

/// Writes parameters, running statistics and, where both have them, averaged weights of the file into an executable
/// that is initialised; averages that the file lacks begin as the weights. What matches a pattern of `reset` stays as
/// it is. Lists what only one side has. Collective.
void load_weights(Executable& executable, Communicator& communicator, const StoredRun& stored,
                  std::span<const std::string> reset);

}  // namespace athanor
