// What a training step does after its shards: which gradients are summed over ranks together, and what updates the
// weights. Plain data that providers fill in (comm/buckets.h, optim/optimize_plan.h), a back end runs and `athanor
// plan` prints.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace athanor {

/// Elements [begin, end) of the flat float32 arenas.
struct ArenaRange {
  std::int64_t begin = 0;
  std::int64_t end = 0;
  std::int64_t elements() const { return end - begin; }
  friend bool operator==(const ArenaRange&, const ArenaRange&) = default;
};

/// A bucket: a range of the outputs arena that ranks sum as one. In the order in which backward finishes.
struct ReduceStep {
  ArenaRange range;
  std::int32_t ready_after = 0;  ///< the step of Plan::shard that writes the last of it
  friend bool operator==(const ReduceStep&, const ReduceStep&) = default;
};

/// Neighbours with equal settings: one call of the optimizer's pass, or one launch.
struct OptimizeSegment {
  ArenaRange range;
  float lr_scale = 1;
  float l2_decay = 0;
  float decoupled_decay = 0;
  friend bool operator==(const OptimizeSegment&, const OptimizeSegment&) = default;
};

/// The update of one bucket, which can run as soon as its gradients are reduced (and, with clip_norm, once all are).
struct OptimizeStep {
  ArenaRange bucket;
  std::vector<OptimizeSegment> segments;  ///< by offset, inside the bucket, disjoint
};

}  // namespace athanor
