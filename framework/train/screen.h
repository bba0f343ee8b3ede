// The first screen: everything that the run resolved to, before step 0. Nothing that changes the result is hidden.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "backend/executable.h"
#include "train/hardware.h"

namespace athanor {

struct FirstScreen {
  std::string recipe;  ///< resolved, as in recipe.yaml
  Hardware hardware;
  std::string binding;  ///< binding_text()
  std::string backend = "cpu";
  std::string precision = "fp32";
  std::string data;  ///< "fashion_mnist: 60000 train, 10000 test"; may be empty
  std::int64_t world_size = 1;
  std::int64_t batch = 0;
  std::int64_t shards = 1;
  std::int64_t shard_threads = 1;
  std::int64_t lanes = 1;  ///< shards side by side on this rank
  std::int64_t parameters = 0;
  std::int64_t forward_flops_per_image = 0;  ///< 1 multiply-add = 2
  std::int64_t train_flops_per_image = 0;    ///< forward and backward
  std::int64_t steps_per_epoch = 0;
  std::int64_t epochs = 0;
  std::int64_t total_steps = 0;      ///< where train.max_steps bounds them; 0 or epochs × steps_per_epoch: it does not
  std::int64_t dropped_samples = 0;  ///< tail of the epoch that fills no batch
  MemoryPlan memory;                 ///< of one rank
  std::string run_folder;
  std::vector<std::string> warnings;
};

/// Several lines, each ended; the part below the recipe is at most 60 columns wide unless a name or path is longer.
std::string first_screen(const FirstScreen& screen);

}  // namespace athanor
