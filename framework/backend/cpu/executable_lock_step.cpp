// The pass of shards that meet on their way (OpDef::synchronizes): all shards of the rank are under way at once, and a
// lane takes each of its shards from one stop to the next. A stop is a meeting, or the step behind which a bucket is
// complete.
#include <algorithm>
#include <limits>

#include "backend/cpu/cpu_executable.h"
#include "graph/op.h"

namespace athanor::cpu {

/// Shards lane, lane + lanes, … of this rank.
template <typename Run>
void CpuExecutable::for_own_shards(int lane, Run run) {
  for (int shard = lane; shard < options_.shards.count(); shard += options_.lanes) {
    run(training_.lanes[static_cast<std::size_t>(shard)], shard);
  }
}

void CpuExecutable::load_own_shards(const Batch& batch, int lane) {
  for_own_shards(lane, [&](ShardProgram& program, int shard) { program.load(batch, shard * program.rows()); });
}

/// All programs have the same steps: one position holds for all shards.
void CpuExecutable::run_in_lock_step(const Batch& batch, int lane) {
  load_own_shards(batch, lane);
  const ShardProgram& any = training_.lanes.front();
  const std::vector<Meeting>& meetings = any.meetings();
  std::size_t at = 0, bucket = 0;
  const auto run_to = [&](std::size_t end) {
    for_own_shards(lane, [&](const ShardProgram& program, int) {
      program.run_to(end, at);
      note_progress();
    });
    at = std::max(at, end);
  };
  for (std::size_t next = 0; next <= meetings.size(); ++next) {
    const bool is_last = next == meetings.size();
    const std::size_t end = is_last ? any.steps().size() : meetings[next].step;
    for (; bucket < main_.reduce.size() && any.end_of(main_.reduce[bucket].ready_after) <= end; ++bucket) {
      run_to(any.end_of(main_.reduce[bucket].ready_after));
      if (lane < options_.shards.count()) arrive(bucket);
    }
    run_to(end);
    if (is_last) break;
    meeting_->meet({training_.lanes.data(), static_cast<std::size_t>(options_.shards.count())}, next, lane, pool_);
    at = end + 1;
  }
}

/// Node by node over all shards of all ranks, to the end even where something is found: the others come to the meetings
/// too. What is not finite spreads over the shards at the next meeting, so the earliest node is the culprit; all ranks
/// name the same.
std::optional<BadValue> CpuExecutable::find_non_finite_in_lock_step(const Batch& batch) {
  // Of a lane: its first step that is not finite, times the shards of the batch, and the shard.
  constexpr std::int64_t kNothing = std::numeric_limits<std::int64_t>::max();
  std::vector<std::int64_t> found(static_cast<std::size_t>(options_.lanes), kNothing);
  const ShardProgram& any = training_.lanes.front();
  pool_.run([&](int lane) {
    run_prologue(training_, lane);
    pool_.sync();
    load_own_shards(batch, lane);
    std::int64_t& first = found[static_cast<std::size_t>(lane)];
    std::size_t next = 0;
    for (std::size_t step = 0; step < any.steps().size(); ++step) {
      const bool is_meeting = next < any.meetings().size() && any.meetings()[next].step == step;
      if (is_meeting) {
        meeting_->meet({training_.lanes.data(), static_cast<std::size_t>(options_.shards.count())}, next++, lane,
                       pool_);
      }
      for_own_shards(lane, [&](const ShardProgram& program, int shard) {
        if (!is_meeting) program.steps()[step]();
        if (first != kNothing || !holds_non_finite(shard, program.nodes()[step])) return;
        first = static_cast<std::int64_t>(step) * main_.shards + options_.shards.first + shard;
      });
    }
  });
  std::int64_t earliest = *std::min_element(found.begin(), found.end());
  options_.communicator->all_reduce(&earliest, 1, DType::i64, ReduceOp::min, "first bad output");
  if (earliest == kNothing) return std::nullopt;
  const Node& node = main_.graph.node(any.nodes()[static_cast<std::size_t>(earliest / main_.shards)]);
  return BadValue{node.layer, node.op->name, earliest % main_.shards};
}

}  // namespace athanor::cpu
