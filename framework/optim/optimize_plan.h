// The provider of optimize steps: which ranges of the parameter arena one step updates, with which settings. Plain
// data, so that any back end can run it; the arithmetic is in kernels/optimizer.h.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "optim/optimizer.h"
#include "optim/parameter_groups.h"

namespace athanor {

/// Parameters start at multiples of this many floats; the gap behind one is updated with it and stays zero.
inline constexpr std::int64_t kParameterAlignment = 16;

/// Elements [begin, end) of the flat arenas.
struct ArenaRange {
  std::int64_t begin = 0;
  std::int64_t end = 0;
  friend bool operator==(const ArenaRange&, const ArenaRange&) = default;
};

struct ArenaParameter {
  std::string name;
  std::int64_t offset = 0;
  std::int64_t elements = 0;
};

/// Neighbours with equal settings: one call of the pass, or one launch.
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

/// One step per bucket, in their order. A bucket may begin and end anywhere, also inside a parameter. Parameters may
/// come in any order. Throws UsageError for groups that check_groups refuses.
std::vector<OptimizeStep> plan_optimize_steps(const OptimizerSpec& spec, const std::vector<ParameterGroup>& groups,
                                              std::vector<ArenaParameter> parameters,
                                              const std::vector<ArenaRange>& buckets);

/// A segment, or the part [begin, end) of it that one thread takes, as the kernel wants it.
inline kernels::OptimizerRange kernel_range(const kernels::OptimizerArenas& arenas, const OptimizeSegment& segment,
                                            ArenaRange part) {
  return {arenas, part.begin, part.end, segment.lr_scale, segment.l2_decay, segment.decoupled_decay};
}
inline kernels::OptimizerRange kernel_range(const kernels::OptimizerArenas& arenas, const OptimizeSegment& segment) {
  return kernel_range(arenas, segment, segment.range);
}

}  // namespace athanor
