// A plan bound to memory: flat lists of steps, ready to run.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "backend/cpu/op.h"
#include "data/batch.h"
#include "graph/plan.h"

namespace athanor::cpu {

/// Copies constants to the shared arena. Once, before anything runs.
void place_constants(const Plan& plan, const Arenas& arenas);

/// The step of a node with its pointers bound. Views give an empty step.
Step bind_node(const Plan& plan, const PlannedStep& step, const Arenas& arenas, std::uint64_t seed);

/// Where a shard meets the others (OpDef::synchronizes): instead of running `step`, all of them move what each has at
/// `own` to every shard's `all`.
struct Meeting {
  std::size_t step = 0;  ///< in ShardProgram::steps
  const std::byte* own = nullptr;
  std::byte* all = nullptr;  ///< [shards] times `bytes`, by global number
  std::size_t bytes = 0;     ///< of one shard
};

/// One shard's pass on one lane.
class ShardProgram {
 public:
  ShardProgram(const Plan& plan, const Arenas& arenas, std::uint64_t seed);

  /// Copies the shard's rows of the batch to where the graph's inputs lie.
  void load(const Batch& batch, std::int64_t first_row);
  void run() const { run_from(0); }
  /// Runs the bound steps from `at` on.
  void run_from(std::size_t at) const {
    for (; at < steps_.size(); ++at) steps_[at]();
  }
  /// Runs the bound steps from `at` on up to step `last` of Plan::shard; returns the first that was not run.
  std::size_t run_through(std::int32_t last, std::size_t at) const {
    for (; at < steps_.size() && plan_steps_[at] <= last; ++at) steps_[at]();
    return at;
  }
  /// Runs the bound steps [at, end).
  void run_to(std::size_t end, std::size_t at) const {
    for (; at < end; ++at) steps_[at]();
  }
  /// The first bound step behind step `last` of Plan::shard.
  std::size_t end_of(std::int32_t last) const {
    return static_cast<std::size_t>(std::upper_bound(plan_steps_.begin(), plan_steps_.end(), last) -
                                    plan_steps_.begin());
  }
  /// The step of every node that runs, with its node, for profiling and diagnosis.
  const std::vector<Step>& steps() const { return steps_; }
  const std::vector<NodeId>& nodes() const { return nodes_; }
  const std::vector<Meeting>& meetings() const { return meetings_; }
  std::int64_t rows() const { return rows_; }

 private:
  struct Input {
    std::byte* target = nullptr;
    std::size_t row_bytes = 0;
  };

  std::vector<Step> steps_;
  std::vector<NodeId> nodes_;
  std::vector<Meeting> meetings_;
  std::vector<std::int32_t> plan_steps_;  ///< per bound step: its place in Plan::shard
  std::int64_t rows_ = 0;
  Input images_, labels_, sample_indices_, transforms_;
  std::int64_t* epoch_ = nullptr;
};

/// What depends on parameters alone, split over the lanes: each lane runs its part, in an order that respects who reads
/// what.
std::vector<std::vector<Step>> bind_prologue(const Plan& plan, const Arenas& arenas, int lanes, std::uint64_t seed);

}  // namespace athanor::cpu
