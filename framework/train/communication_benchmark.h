// What communication costs a training step: the same step over the ranks with the ordered sums, with the library's, and
// with nothing sent at all, in turns. What `athanor bench communication` prints.
#pragma once

#include <cstdint>
#include <string>

#include "comm/communicator.h"
#include "train/recipe.h"

namespace athanor {

struct CommunicationBenchmark {
  std::string recipe;
  int ranks = 1;
  std::int64_t batch = 0, shards = 0, shard_threads = 0;
  int lanes = 0;  ///< of rank 0
  std::int64_t rounds = 0;
  double tree_s = 0;         ///< median step of the slowest rank, `train.reduction: tree`
  double library_s = 0;      ///< `fast`
  double silent_s = 0;       ///< nothing sent
  double images_per_s = 0;   ///< of tree_s
  double communication = 0;  ///< median over the rounds of tree ÷ silent − 1
  double bit_equality = 0;   ///< … of tree ÷ library − 1
  double exposed_s = 0;      ///< median that a step waited
  std::int64_t bytes = 0;    ///< that rank 0 sends in a step
};

/// Collective. Synthetic data; `threads`: cores of each rank, 0: its share. Throws what planning a run throws.
CommunicationBenchmark benchmark_communication(Recipe recipe, Communicator& communicator, double seconds, int threads);

/// One JSON object in one line; and the same for people.
std::string to_json(const CommunicationBenchmark& benchmark);
std::string to_text(const CommunicationBenchmark& benchmark);

}  // namespace athanor
