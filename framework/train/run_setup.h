// Everything before step 0, in the order in which it can fail cheaply, in phases on which all ranks agree: none begins
// to train unless all can, and all know why not.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "comm/communicator.h"
#include "train/checkpoint_meta.h"
#include "train/run_folder.h"
#include "train/session.h"
#include "train/stored_run.h"
#include "train/trainer.h"

namespace athanor {

/// What a run holds once it is sure to begin. Shared out over the ranks are shards and rows only: all else is alike.
struct PreparedRun {
  Recipe recipe;
  Hardware hardware;
  ModelSpec model;
  Sizing sizing;
  Plans plans;
  RunData data;
  std::string provenance;
  std::filesystem::path folder_path;
  std::optional<RunFolder> folder;  ///< rank 0 holds it, the others nothing
  bool already_done = false;        ///< the folder holds this run, finished; only `folder` is of use then
  MemoryPlan memory;
  RunFacts facts;
  std::optional<StoredRun> stored;  ///< what it goes on from; none: it starts
  std::optional<StoredRun> init;    ///< whose weights it starts from
  std::vector<std::string> notes;   ///< about checkpoints that were passed over; rank 0 has them
};

/// Collective. Throws what ranks agree on (OnAllRanks). Plans and recipe stay where they are as long as the result
/// does.
std::unique_ptr<PreparedRun> prepare_run(Recipe recipe, const TrainOptions& options, Communicator& communicator);

}  // namespace athanor
