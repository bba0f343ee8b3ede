// Everything a run needs, made from a recipe in the order in which it can fail cheaply: threads, data, shapes, plans,
// memory; the executable last. `athanor plan` and `check` stop half-way.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "comm/communicator.h"
#include "comm/shard_range.h"
#include "data/batch_source.h"
#include "data/dataset.h"
#include "graph/plan.h"
#include "models/model.h"
#include "models/training_graph.h"
#include "optim/optimizer.h"
#include "optim/schedule.h"
#include "train/hardware.h"
#include "train/recipe.h"
#include "train/run_data.h"

namespace athanor {

/// How the batch is cut and run on this process.
struct Sizing {
  std::int64_t shards = 1;
  std::int64_t shard_threads = 1;
  ShardRange local;  ///< shards of this rank
  int lanes = 1;     ///< shards side by side
  std::int64_t steps_per_epoch = 0;
  std::int64_t total_steps = 0;
  std::int64_t evaluation_rows = 0;  ///< rows of an evaluation batch: shards × rows of a shard

  /// Begun ones: train.max_steps may end the run within the last.
  std::int64_t epochs() const { return (total_steps + steps_per_epoch - 1) / steps_per_epoch; }
};

/// How batches are cut and how many shards run side by side, without a run: for evaluation, as training would. Throws
/// UsageError, with values that work, where there are more ranks than shards.
Sizing cut_batches(const Recipe& recipe, const Hardware& hardware, const Communicator& communicator);
/// The same for rank `rank` of `ranks`.
Sizing cut_batches(const Recipe& recipe, const Hardware& hardware, int rank, int ranks);

/// Updates that a run on `samples` images takes; 0 where the batch is larger.
std::int64_t count_steps(const Recipe& recipe, std::int64_t samples);

/// Fills in what the recipe leaves open from the machine. `samples`: images to train on. Throws UsageError with values
/// that work.
/// Threads that fill batches ahead of the step, and how many batches there are.
struct LoaderCrew {
  int workers = 1;
  int depth = kTrainingDepth;
};
/// One where the cores compute; several where a device does, which asks for more than one core can read.
LoaderCrew training_crew(const Recipe& recipe, const Sizing& sizing);

Sizing size_run(Recipe& recipe, std::int64_t samples, const Hardware& hardware, const Communicator& communicator);
Sizing size_run(Recipe& recipe, const RunData& data, const Hardware& hardware, const Communicator& communicator);

struct Plans {
  Plan training;
  Plan evaluation;
  OptimizerSpec optimizer;
};

/// The model of a recipe, or the one that a C++ program gives instead.
ModelSpec model_of(const Recipe& recipe);
/// Throws DeviceError for a device that this build does not drive and a precision that the processor lacks.
void want_device(const Recipe& recipe);
/// Throws UsageError for shapes that do not fit, and what want_device throws. Without `measures` they show what a run
/// would need, in no time; a run may be given other implementations.
Plans make_plans(const Recipe& recipe, const ModelSpec& model, const DatasetInfo& info, const Sizing& sizing,
                 bool measures = true);

/// What this process may use of the device's memory, or of its share of the machine's.
std::size_t available_bytes(const Backend& backend, const Hardware& hardware, const Communicator& communicator);

/// What a checkpoint holds of the state, whatever part of it each rank keeps.
std::size_t checkpoint_bytes(const Plans& plans);

/// What a run allocates on this rank, data and the copy for checkpoints included.
MemoryPlan plan_run_memory(const Recipe& recipe, const DatasetInfo& info, const Sizing& sizing, const Plans& plans,
                           Communicator& communicator);

/// Throws DeviceError with the largest batch that fits when the plans need more than this process may use: with the
/// evaluation batch as it is where training alone is too large, else with one as small as the training batch. Says
/// where train.recompute would make it fit.
void check_memory(const Recipe& recipe, const ModelSpec& model, const DatasetInfo& info, const Sizing& sizing,
                  const Plans& plans, const Hardware& hardware, Communicator& communicator);

ExecutableOptions executable_options(const Recipe& recipe, const Sizing& sizing, const Plans& plans,
                                     Communicator& communicator);

/// Fills parameters from (seed, name), running statistics and averages with their start.
void initialize_state(Executable& executable, const Plan& plan, std::uint64_t seed);

}  // namespace athanor
