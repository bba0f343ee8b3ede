// The update of a step on a GPU: weights over the flat arena, and running statistics.
#pragma once

#include <cstdint>

#include "base/dtype.h"
#include "kernels/optimizer.h"
#include "kernels/optimizer_math.h"

namespace athanor::kernels::cuda {

/// Neighbours of the arena with equal settings; see OptimizeSegment of graph/update_plan.h.
struct OptimizerSegment {
  std::int64_t begin = 0;
  std::int64_t end = 0;
  float lr_scale = 1;
  float l2_decay = 0;
  float decoupled_decay = 0;
};

/// One update of all segments in one launch, with the bits of the CPU's pass. Arenas aligned to 16 bytes and a
/// state_origin that is a multiple of 4 are fastest. Pointers of `arenas` are device memory; `ema` null: no averages.
struct OptimizerPass {
  OptimizerRule rule = OptimizerRule::sgd;
  OptimizerArenas arenas;
  const OptimizerSegment* segments = nullptr;  ///< device memory; by offset, disjoint
  std::int32_t segment_count = 0;
  std::int64_t elements = 0;             ///< of the arena: segments lie in [0, elements)
  const StepScalars* scalars = nullptr;  ///< device memory; with `skip` nothing is written
  DType cast_to = DType::bf16;           ///< bf16 or f16
  void* cast = nullptr;                  ///< where not null: the new weights as `cast_to`, at the arenas' offsets
};

/// A running statistic, or neighbours with one momentum.
struct StatisticRange {
  std::int64_t offset = 0;  ///< elements
  std::int64_t count = 0;
  float momentum = 0;
};

/// running ← (1 − m) · running + m · (contribution / shards), and its average; with `skip` nothing.
struct UpdateStatistics {
  float* state = nullptr;    ///< offsets as in `ranges`
  float* average = nullptr;  ///< null: no averages
  const float* contributions = nullptr;
  const StatisticRange* ranges = nullptr;  ///< device memory
  std::int32_t range_count = 0;
  std::int32_t shards = 1;
  const StepScalars* scalars = nullptr;
};

}  // namespace athanor::kernels::cuda
