// What decides about an update on a GPU, before the host knows of it: is everything finite, by how much is the gradient
// clipped, how does the loss scale move, which numbers does the optimizer's pass take.
#pragma once

#include <cstdint>

#include "kernels/step_math.h"

namespace athanor::kernels::cuda {

using kernels::OptimizerSettings;

/// What the host says of a step; travels with its batch.
struct StepControl {
  double lr = 0;
  double momentum = 0;
  std::int32_t has_momentum = 0;
  std::int64_t first_update = 0;  ///< not 0: this step is update number `first_update`; 0: count on
};

/// Outlives a step. Zeroed, but for the loss scale, before the first.
struct StepMemory {
  std::int64_t updates = 0;  ///< made so far; one that is left out does not count
  float loss_scale = 65536;  ///< 1 and never changed without loss scaling
  float good_steps = 0;      ///< in a row; a number of float32 so that both travel in a checkpoint
  std::int32_t halted = 0;   ///< an update was not finite where that ends the run: no later one changes anything
};

/// What the host learns of a step.
struct StepOutcome {
  double loss = 0;  ///< mean over the batch
  double correct = 0;
  double correct_top5 = 0;
  double grad_norm = 0;   ///< unscaled, before clipping
  double loss_scale = 1;  ///< that the step used
  std::int64_t updates = 0;
  std::int32_t finite = 0;
  std::int32_t overflowed = 0;  ///< not finite, but only a gradient, which a smaller loss scale may help
};

/// One block. Loss scaling: gradients arrive multiplied by memory->loss_scale; × 0.5 and no update where they are not
/// finite, × 2 after 2,000 good steps, within [1, 2^24].
struct Guard {
  const StepControl* control = nullptr;  ///< device memory, as is the rest where nothing else is said
  StepMemory* memory = nullptr;
  const float* loss = nullptr;         ///< [1] summed over the shards' means (not scaled)
  const float* correct = nullptr;      ///< [2] summed over the shards; may be null
  const double* block_sums = nullptr;  ///< of squares of the (scaled) gradient, blocks of 4,096 elements; at most 2^22
  std::int64_t blocks = 0;             ///< 0: the norm is not wanted and counts as 0
  const float* statistics = nullptr;   ///< contributions to the running statistics: must be finite
  std::int64_t statistic_count = 0;
  std::int32_t shards = 1;
  OptimizerSettings optimizer;
  bool scales_loss = false;
  bool stops_on_nonfinite = false;  ///< sets `halted`, but not for a gradient that overflowed under a loss scale
  StepScalars* scalars = nullptr;
  StepOutcome* outcome = nullptr;  ///< pinned host memory
};

}  // namespace athanor::kernels::cuda
