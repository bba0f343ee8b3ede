#include "comm/buckets.h"

#include <algorithm>

namespace athanor {
namespace {

/// For each value of the outputs arena: where it begins, and the step of a shard that writes it.
struct Written {
  std::int64_t offset;
  std::int32_t step;
};

std::vector<Written> written_outputs(const Plan& plan) {
  std::vector<Written> written;
  for (std::size_t at = 0; at < plan.shard.size(); ++at) {
    for (const ValueId output : plan.graph.node(plan.shard[at].node).outputs) {
      if (output == kNoValue) continue;
      const Buffer& buffer = plan.buffers[static_cast<std::size_t>(output)];
      if (buffer.arena != Arena::outputs) continue;
      written.push_back({static_cast<std::int64_t>(buffer.offset / sizeof(float)), static_cast<std::int32_t>(at)});
    }
  }
  return written;
}

std::int32_t last_writer(const std::vector<Written>& written, ArenaRange range) {
  std::int32_t last = 0;
  for (const Written& value : written) {
    if (value.offset >= range.begin && value.offset < range.end) last = std::max(last, value.step);
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
  std::int64_t begin = 0;
  const auto close = [&](std::size_t end) {
    const ArenaRange range{begin, static_cast<std::int64_t>(end)};
    steps.push_back({range, last_writer(written, range)});
    begin = range.end;
  };
  for (const StateTensor& tensor : plan.state) {
    if (tensor.is_statistic || static_cast<std::int64_t>(tensor.offset) == begin) continue;
    const std::size_t bytes = (tensor.offset - static_cast<std::size_t>(begin)) * sizeof(float);
    if (bytes >= (steps.empty() ? sizes.first : sizes.others)) close(tensor.offset);
  }
  close(plan.output_elements);
  return steps;
}

}  // namespace athanor
