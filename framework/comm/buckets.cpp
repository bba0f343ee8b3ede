#include "comm/buckets.h"

#include <algorithm>

#include "kernels/reduce.h"

namespace athanor {
namespace {

/// For each value of the outputs arena: where it lies, and the step of a shard that writes it.
struct Written {
  ArenaRange range;
  std::int32_t step;
};

std::vector<Written> written_outputs(const Plan& plan) {
  std::vector<Written> written;
  for (std::size_t at = 0; at < plan.shard.size(); ++at) {
    for (const ValueId output : plan.graph.node(plan.shard[at].node).outputs) {
      if (output == kNoValue) continue;
      const Buffer& buffer = plan.buffers[static_cast<std::size_t>(output)];
      if (buffer.arena != Arena::outputs) continue;
      const auto begin = static_cast<std::int64_t>(buffer.offset / sizeof(float));
      written.push_back(
          {{begin, begin + static_cast<std::int64_t>(buffer.bytes / sizeof(float))}, static_cast<std::int32_t>(at)});
    }
  }
  return written;
}

std::int32_t last_writer(const std::vector<Written>& written, ArenaRange range) {
  std::int32_t last = 0;
  for (const Written& value : written) {
    if (value.range.begin < range.end && range.begin < value.range.end) last = std::max(last, value.step);
  }
  return last;
}

}  // namespace

BucketSizes bucket_sizes(std::optional<double> bucket_mb) {
  BucketSizes sizes;
  if (bucket_mb) {
    sizes.others = static_cast<std::size_t>(*bucket_mb * 1e6);
    sizes.first = std::min(sizes.first, sizes.others);
  }
  return sizes;
}

std::vector<ReduceStep> plan_reduce_steps(const Plan& plan, const BucketSizes& sizes) {
  std::vector<ReduceStep> steps;
  if (plan.output_elements == 0) return steps;
  const std::vector<Written> written = written_outputs(plan);
  const auto parameters = static_cast<std::int64_t>(plan.parameter_elements);
  const ArenaRange tail{parameters, static_cast<std::int64_t>(plan.output_elements)};
  if (tail.elements() > 0) steps.push_back({tail, last_writer(written, tail)});
  std::int64_t begin = 0;
  bool is_first = true;
  const auto close = [&](std::int64_t end) {
    const ArenaRange range{begin, end};
    // In the order of the arena, whoever finishes first: all ranks hand buckets over in one order.
    steps.push_back({range, std::max(last_writer(written, range), steps.empty() ? 0 : steps.back().ready_after)});
    begin = end;
    is_first = false;
  };
  for (const StateTensor& tensor : plan.state) {
    if (tensor.is_statistic) continue;
    const std::int64_t end = static_cast<std::int64_t>(tensor.offset) / kernels::kSumBlock * kernels::kSumBlock;
    if (end <= begin) continue;
    const std::size_t bytes = static_cast<std::size_t>(end - begin) * sizeof(float);
    if (bytes >= (is_first ? sizes.first : sizes.others)) close(end);
  }
  if (begin < parameters) close(parameters);
  return steps;
}

}  // namespace athanor
