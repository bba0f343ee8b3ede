#include "optim/optimize_plan.h"

#include <algorithm>

#include "base/error.h"

namespace athanor {
namespace {

OptimizeSegment segment_of(const ArenaParameter& parameter, const OptimizerSpec& spec,
                           const std::vector<ParameterGroup>& groups) {
  const ParameterSettings settings = settings_for(parameter.name, spec, groups);
  const float decay = static_cast<float>(settings.weight_decay);
  const std::int64_t end = parameter.offset + parameter.elements;
  return {.range = {parameter.offset, (end + kParameterAlignment - 1) / kParameterAlignment * kParameterAlignment},
          .lr_scale = static_cast<float>(settings.lr_scale),
          .l2_decay = spec.decoupled ? 0.0f : decay,
          .decoupled_decay = spec.decoupled ? decay : 0.0f};
}

bool same_settings(const OptimizeSegment& a, const OptimizeSegment& b) {
  return a.lr_scale == b.lr_scale && a.l2_decay == b.l2_decay && a.decoupled_decay == b.decoupled_decay;
}

/// All parameters as segments by offset, neighbours with equal settings merged.
std::vector<OptimizeSegment> merged_segments(const OptimizerSpec& spec, const std::vector<ParameterGroup>& groups,
                                             const std::vector<ArenaParameter>& parameters) {
  std::vector<OptimizeSegment> merged;
  for (const ArenaParameter& parameter : parameters) {
    ATHANOR_CHECK(parameter.offset % kParameterAlignment == 0, "{} at offset {}", parameter.name, parameter.offset);
    const OptimizeSegment next = segment_of(parameter, spec, groups);
    if (merged.empty()) {
      merged.push_back(next);
      continue;
    }
    OptimizeSegment& last = merged.back();
    ATHANOR_CHECK(last.range.end <= next.range.begin, "{} overlaps the parameter before it", parameter.name);
    if (last.range.end == next.range.begin && same_settings(last, next)) {
      last.range.end = next.range.end;
    } else {
      merged.push_back(next);
    }
  }
  return merged;
}

}  // namespace

std::vector<OptimizeStep> plan_optimize_steps(const OptimizerSpec& spec, const std::vector<ParameterGroup>& groups,
                                              std::vector<ArenaParameter> parameters,
                                              const std::vector<ArenaRange>& buckets) {
  std::sort(parameters.begin(), parameters.end(),
            [](const ArenaParameter& a, const ArenaParameter& b) { return a.offset < b.offset; });
  std::vector<std::string> names;
  for (const ArenaParameter& parameter : parameters) names.push_back(parameter.name);
  check_groups(groups, names);
  const std::vector<OptimizeSegment> merged = merged_segments(spec, groups, parameters);

  std::vector<OptimizeStep> steps;
  for (const ArenaRange& bucket : buckets) {
    OptimizeStep& step = steps.emplace_back(OptimizeStep{.bucket = bucket, .segments = {}});
    for (OptimizeSegment segment : merged) {
      segment.range.begin = std::max(segment.range.begin, bucket.begin);
      segment.range.end = std::min(segment.range.end, bucket.end);
      if (segment.range.begin < segment.range.end) step.segments.push_back(segment);
    }
  }
  return steps;
}

std::vector<OptimizeStep> plan_optimize_steps(const OptimizerSpec& spec, const std::vector<ParameterGroup>& groups,
                                              const Plan& plan) {
  std::vector<ArenaParameter> parameters;
  for (const StateTensor& tensor : plan.state) {
    if (tensor.is_statistic) continue;
    parameters.push_back(
        {tensor.name, static_cast<std::int64_t>(tensor.offset), static_cast<std::int64_t>(tensor.elements)});
  }
  const auto end = static_cast<std::int64_t>(plan.parameter_elements);
  std::vector<ArenaRange> buckets;
  for (const ReduceStep& step : plan.reduce) {
    if (step.range.begin < end) buckets.push_back({step.range.begin, std::min(step.range.end, end)});
  }
  return plan_optimize_steps(spec, groups, std::move(parameters), buckets);
}

}  // namespace athanor
