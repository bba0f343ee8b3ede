// A short training run over emulated GPUs, one a rank, with ranks as threads: what tests of the executor compare.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "gpu/emulation/emulated_device.h"
#include "support/training_rig.h"

namespace athanor::testing {

struct EmulatedRun {
  int ranks = 1;
  int steps = 20;
  std::string model = "cifar_resnet";
  int depth = 20;  ///< of the model
  int side = 16;   ///< of the images
  int shards = 4;
  bool cuda_graph = true;
  bool one_gpu = false;  ///< all ranks share it: sums go through the host
  std::string precision = "fp32";
  ReductionMode reduction = ReductionMode::tree;
  std::uint64_t seed = 1;  ///< of the order in which streams run
  int stop_at = 0;         ///< the step at which rank 0 is asked to stop; 0: never
  GroupFaults group_faults = {};
  double recomputed_work = 0;  ///< of make_plan
  /// Wraps each rank's device; none: the emulated device itself.
  std::function<std::unique_ptr<cuda::Device>(cuda::Device&)> wrap = {};
  /// Calls `submit`, which hands over step `step`; none: it is just called.
  std::function<void(int step, const std::function<void()>& submit)> around_step = {};
};

/// What a rank saw.
struct RunOutcome {
  std::vector<StepResult> results;  ///< of every step, in order
  std::vector<float> state;         ///< at the end, everything that the next step depends on
  std::uint64_t graph_launches = 0;
  std::size_t lane_bytes = 0;  ///< of the plan
};

/// Trains; by rank. Throws what a rank throws. Ends with a look at all red zones.
std::vector<RunOutcome> train_emulated(const EmulatedRun& run);

/// The same training on the CPU, one rank.
RunOutcome train_on_cpu(const EmulatedRun& run);

}  // namespace athanor::testing
