// How fast the training step of a recipe is, or a batch of its evaluation, alone, on synthetic data, and how near it
// comes to its ceiling: what `athanor bench step` prints. Steps, ceiling and profile take turns, so that a machine that
// drifts drifts for all.
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include "backend/ceiling.h"
#include "train/recipe.h"

namespace athanor {

struct StepBenchmarkOptions {
  double seconds = 10;      ///< for everything that is timed, the search for the ceiling included
  int threads = 0;          ///< cores to use: shards side by side × threads of a shard; 0: all that are allowed
  bool evaluation = false;  ///< batches of eval.batch images through the evaluation plan, as `athanor eval` runs them
  bool steps_only = false;  ///< neither ceiling nor profile: all the time is for steps
};

/// A value and how far it spreads: 10th, 50th and 90th percentile.
struct Spread {
  double p10 = 0;
  double median = 0;
  double p90 = 0;
};

/// All nodes of one kind of op.
struct OpShare {
  std::string op;
  int nodes = 0;           ///< of one shard
  double seconds = 0;      ///< of one step, with shards side by side counted once
  double share = 0;        ///< of the step's time
  double gflop_per_s = 0;  ///< over all lanes
};

struct StepBenchmark {
  std::string recipe;
  std::string cpu_model, isa, backend, precision;
  bool evaluation = false;  ///< a "step" is then a batch of the evaluation
  std::int64_t batch = 0;
  std::int64_t shards = 0;
  std::int64_t shard_threads = 0;
  int lanes = 0;
  int threads = 0;  ///< lanes × shard_threads

  std::int64_t steps = 0;  ///< timed
  Spread step_s;
  Spread images_per_s;
  double start_s = 0;               ///< from the start of the process until the first step could begin
  double page_faults_per_step = 0;  ///< minor ones of the process, mean over the timed steps
  double host_s = 0;                ///< that handing a step over takes on a device that runs behind; else 0
  double flops_per_step = 0;
  double gflop_per_s = 0;
  double products_flops_per_step = 0;  ///< of the convolutions and matrix products alone
  std::vector<OpShare> ops;            ///< the largest first; what is no node ("other") last; shares add up to 1

  double ceiling_s = 0;      ///< median time of the products alone; 0 on a back end without a known ceiling
  double ceiling_share = 0;  ///< ceiling_s ÷ median step time
  std::vector<CeilingProduct> products;

  std::size_t memory_plan_bytes = 0;       ///< what the executable allocates
  std::size_t peak_bytes = 0;              ///< of the process, before the ceiling took memory of its own
  double load_before = 0, load_after = 0;  ///< one-minute load averages of the machine
};

/// Plans and runs the step of `recipe` with random pixels, and labels of as many classes as the model gives. Throws
/// what planning a run throws.
StepBenchmark run_step_benchmark(Recipe recipe, const StepBenchmarkOptions& options);

/// One JSON object in one line. Times in milliseconds.
std::string to_json(const StepBenchmark& benchmark);
/// The same for people.
void print_step_benchmark(std::FILE* out, const StepBenchmark& benchmark);

/// The 10th, 50th and 90th percentile (nearest rank) of a list that is not empty.
Spread spread_of(std::vector<double> values);

}  // namespace athanor
