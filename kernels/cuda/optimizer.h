// The update on a GPU: the optimizer's pass over a range of the flat arenas and the running statistics, with the bits
// of the CPU's passes.
#pragma once

#include <cstdint>
#include <span>

#include "base/dtype.h"
#include "kernels/optimizer.h"

namespace athanor::kernels::cuda {

/// Elements that one block updates.
inline constexpr std::int64_t kOptimizerBlock = 4096;

/// Elements [begin, end) of the arenas, all with the same settings.
struct OptimizerSegment {
  std::int64_t begin = 0;
  std::int64_t end = 0;
  float lr_scale = 1;
  float l2_decay = 0;
  float decoupled_decay = 0;
  std::int32_t first_block = 0;  ///< of the launch, see assign_blocks
};

/// Fills in `first_block` of the segments of one launch; returns its blocks.
inline std::int32_t assign_blocks(std::span<OptimizerSegment> segments) {
  std::int32_t blocks = 0;
  for (OptimizerSegment& segment : segments) {
    segment.first_block = blocks;
    // Blocks begin where 16 bytes do.
    const std::int64_t count = segment.end - segment.begin / 4 * 4;
    blocks +=
        segment.end > segment.begin ? static_cast<std::int32_t>((count + kOptimizerBlock - 1) / kOptimizerBlock) : 0;
  }
  return blocks;
}

/// One update of all elements of `segments`; writes nothing where scalars->skip is not 0. Weights and gradients aligned
/// to 16 bytes and a state_origin that is a multiple of 4 are fastest.
struct OptimizerPass {
  OptimizerRule rule = OptimizerRule::sgd;
  OptimizerArenas arenas;                      ///< with `ema`: averages the weights too
  const OptimizerSegment* segments = nullptr;  ///< device
  std::int32_t segment_count = 0;
  std::int32_t blocks = 0;               ///< assign_blocks' result
  const StepScalars* scalars = nullptr;  ///< device
  DType cast_to = DType::bf16;           ///< bf16 or f16
  void* cast = nullptr;                  ///< where not null: the new weights as `cast_to`, at the arenas' offsets
};

/// Elements [offset, offset + count) of the arenas of running statistics.
struct StatisticSegment {
  std::int64_t offset = 0;
  std::int64_t count = 0;
  float momentum = 0;
  std::int32_t reserved = 0;
};

/// state ← (1 − m) · state + m · (contribution / shards), then the average of it where `average` is not null; writes
/// nothing where scalars->skip is not 0. One block a segment.
struct UpdateStatistics {
  float* state = nullptr;
  float* average = nullptr;
  const float* contributions = nullptr;        ///< sums over the shards, at the state's offsets
  const StatisticSegment* segments = nullptr;  ///< device
  std::int32_t segment_count = 0;
  std::int32_t shards = 1;
  const StepScalars* scalars = nullptr;  ///< device
};

}  // namespace athanor::kernels::cuda
