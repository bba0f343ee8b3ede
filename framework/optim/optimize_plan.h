// The provider of optimize steps: which ranges of the parameter arena one step updates, with which settings. Plain
// data, so that any back end can run it; the arithmetic is in kernels/optimizer.h.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "graph/plan.h"
#include "graph/update_plan.h"
#include "optim/optimizer.h"
#include "optim/parameter_groups.h"

namespace athanor {

/// Parameters start at multiples of this many floats; the gap behind one is updated with it and stays zero.
inline constexpr std::int64_t kParameterAlignment = 16;

struct ArenaParameter {
  std::string name;
  std::int64_t offset = 0;
  std::int64_t elements = 0;
};

/// One step per bucket, in their order. A bucket may begin and end anywhere, also inside a parameter. Parameters may
/// come in any order. Throws UsageError for groups that check_groups refuses.
std::vector<OptimizeStep> plan_optimize_steps(const OptimizerSpec& spec, const std::vector<ParameterGroup>& groups,
                                              std::vector<ArenaParameter> parameters,
                                              const std::vector<ArenaRange>& buckets);
/// The same for a plan that has its reduce steps: one update per bucket that holds parameters.
std::vector<OptimizeStep> plan_optimize_steps(const OptimizerSpec& spec, const std::vector<ParameterGroup>& groups,
                                              const Plan& plan);

/// A segment, or the part [begin, end) of it that one thread takes, as the kernel wants it.
inline kernels::OptimizerRange kernel_range(const kernels::OptimizerArenas& arenas, const OptimizeSegment& segment,
                                            ArenaRange part) {
  return {arenas, part.begin, part.end, segment.lr_scale, segment.l2_decay, segment.decoupled_decay};
}
inline kernels::OptimizerRange kernel_range(const kernels::OptimizerArenas& arenas, const OptimizeSegment& segment) {
  return kernel_range(arenas, segment, segment.range);
}

}  // namespace athanor
