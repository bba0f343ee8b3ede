// What one block of a GPU decides between the gradients and the update: whether all numbers are finite, how far to
// clip, the loss scale, and with them the scalars that the optimizer's pass reads. The host learns of it later.
#pragma once

#include <cstdint>

#include "kernels/step_math.h"

namespace athanor::kernels::cuda {

inline constexpr float kFirstLossScale = 65536.0f, kMostLossScale = 16777216.0f, kLeastLossScale = 1.0f;
/// Updates in a row with finite gradients after which the loss scale doubles.
inline constexpr std::int32_t kGoodSteps = 2000;

/// What the host says of one step, in device memory.
struct StepControl {
  double lr = 0;
  double momentum = 0;            ///< from the schedule, where it has one
  std::int32_t has_momentum = 0;  ///< 0: the recipe's
  std::int32_t reserved = 0;
};

/// What lasts from step to step, in device memory. A job without loss scaling keeps loss_scale = 1.
struct StepMemory {
  std::int64_t updates = 0;  ///< made so far; a skipped one does not count
  float loss_scale = 1;      ///< gradients arrive multiplied by it
  std::int32_t good_steps = 0;
  std::int32_t halted = 0;  ///< nonzero: no update is made any more
  std::int32_t reserved = 0;
};

/// What the host reads of one step, in pinned memory.
struct StepOutcome {
  double loss = 0;  ///< mean over the shards
  double correct = 0;
  double correct_top5 = 0;
  double grad_norm = 0;      ///< unscaled, before clipping
  double loss_scale = 0;     ///< that the step used
  std::int64_t updates = 0;  ///< made so far, this one included
  std::int32_t finite = 0;
  std::int32_t reserved = 0;
};

struct Guard {
  OptimizerConstants optimizer;
  std::int32_t shards = 1;
  bool scales_loss = false;        ///< non-finite: loss scale halves, the update is skipped
  bool stops_on_nonfinite = true;  ///< without loss scaling: the first non-finite step halts all later updates
  const StepControl* control = nullptr;
  StepMemory* memory = nullptr;
  const float* loss = nullptr;        ///< [1], sum over the shards
  const float* correct = nullptr;     ///< [2], sums over the shards: top 1, top 5; may be null
  double* block_sums = nullptr;       ///< of SumOfSquares over the whole gradient; used up
  std::int64_t block_count = 0;       ///< 0: the norm is not wanted, and counts as 0
  const float* statistics = nullptr;  ///< batch statistics, which must be finite too
  std::int64_t statistics_count = 0;
  StepScalars* scalars = nullptr;  ///< device
  StepOutcome* outcome = nullptr;  ///< pinned host memory, written last
};

}  // namespace athanor::kernels::cuda
