// The CPU back end's executable: arenas, bound steps and the lanes that run them. Five files implement it:
// executable.cpp (memory, binding, state, evaluation), executable_step.cpp (the passes of one step),
// executable_lock_step.cpp (those of shards that meet on their way), executable_update.cpp (norms and new weights) and
// executable_inspect.cpp (what looks at single nodes).
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "backend/cpu/lane_pool.h"
#include "backend/cpu/program.h"
#include "backend/cpu/shard_meeting.h"
#include "backend/cpu/state_store.h"
#include "backend/executable.h"
#include "comm/gradient_reduction.h"
#include "comm/tree_schedule.h"
#include "kernels/optimizer.h"
#include "kernels/reduce.h"

namespace athanor::cpu {

/// Elements [first, second) that a lane takes of `count`, cut at multiples of kSumBlock so that block sums stay whole.
std::pair<std::size_t, std::size_t> slice_of_lane(std::size_t count, int lane, int lanes);

class CpuExecutable final : public Executable {
 public:
  explicit CpuExecutable(const ExecutableOptions& options);

  std::optional<StepResult> step(const Batch& batch, const StepInputs& inputs, const RankReport& report) override;
  void evaluate(const Batch& batch, std::span<float> losses, std::span<std::int32_t> ranks, bool averaged) override;
  std::vector<StateEntry> list_state() const override { return store_.list(); }
  void read_state(const StateEntry& entry, std::span<float> values) const override { store_.read(entry, values); }
  void write_state(const StateEntry& entry, std::span<const float> values) override {
    store_.write(entry, values);
    evaluated_weights_ = Weights::changed;
  }
  std::unique_ptr<StateSnapshot> make_snapshot() const override { return store_.make_snapshot(); }
  void capture(StateSnapshot* snapshot) override;
  std::vector<std::uint64_t> hash_state() const override { return store_.hash(); }
  std::optional<BadValue> find_non_finite(const Batch& batch) override;
  std::vector<NodeTime> profile(const Batch& batch, int repeats) override;
  MemoryPlan memory() const override { return memory_; }
  /// LanePool::barriers.
  std::uint32_t barriers() const { return pool_.barriers(); }

 private:
  struct Pass {
    const Plan* plan = nullptr;
    std::vector<ShardProgram> lanes;          // one for each shard that is under way at a time
    std::vector<std::vector<Step>> prologue;  // per lane
    ArenaMemory shared;
  };
  /// What the update needs of a bucket of parameters.
  struct Bucket {
    std::size_t reduce = 0;  ///< index in Plan::reduce
    const OptimizeStep* update = nullptr;
    ArenaRange owned;  ///< elements that this rank updates
  };
  /// Elements of the bucket that a lane takes, whole blocks of kernels/reduce.h.
  ArenaRange part_of(const Bucket& bucket, int lane) const;

  void allocate();
  void bind();
  void bind_buckets();
  void bind_pass(Pass& pass, const Plan* plan);
  Arenas arenas_of(const Pass& pass, int lane) const;
  void run_prologue(const Pass& pass, int lane) const {
    for (const Step& step : pass.prologue[static_cast<std::size_t>(lane)]) step();
  }
  float* result() const { return outputs_[static_cast<std::size_t>(schedule_.pieces.front().buffer)].floats(); }
  const float* find_metric(std::string_view name) const;
  std::int64_t bytes_sent() const {
    return reduction_->bytes_sent() + (meeting_ == nullptr ? 0 : meeting_->bytes_sent());
  }
  void gather_averages();

  /// Part of a pass is done: a batch may take long by itself.
  void note_progress() { options_.communicator->activity().note_progress(); }
  void run_shards(const Batch& batch, int lane);
  void run_last_wave(ShardProgram& program);
  void load_own_shards(const Batch& batch, int lane);
  template <typename Run>
  void for_own_shards(int lane, Run run);
  void run_in_lock_step(const Batch& batch, int lane);
  std::optional<BadValue> find_non_finite_in_lock_step(const Batch& batch);
  bool holds_non_finite(int copy, NodeId id) const;
  void merge(const std::vector<Merge>& merges, const ArenaRange& range);
  void arrive(std::size_t bucket);
  void wait_for_bucket(std::size_t bucket, int lane);
  void update_each_bucket(int lane, const StepInputs& inputs);
  void update_after_all(int lane, const StepInputs& inputs);
  void judge_metrics();
  void measure(const ArenaRange& piece);
  void measure_norm(int lane);
  void set_scalars(const StepInputs& inputs, double grad_norm);
  void update(const Bucket& bucket, const ArenaRange& part);
  void hand_on(const Bucket& bucket);
  void update_statistics();
  void finish_step(int lane);

  ExecutableOptions options_;
  const Plan& main_;
  MemoryPlan memory_;
  int under_way_;  // shards of this rank that run at a time, and so the copies of what a shard needs
  TreeSchedule schedule_;
  std::unique_ptr<GradientReduction> reduction_;  // where the executable trains
  std::vector<Bucket> buckets_;
  StateStore store_;
  LanePool pool_;
  std::unique_ptr<ShardMeeting> meeting_;  // where the training plan has meetings
  std::vector<ArenaMemory> lane_memory_;
  std::vector<ArenaMemory> outputs_;
  Pass training_, evaluation_;
  /// Of which weights the shared arena of evaluation_ holds what its prologue makes.
  enum class Weights : std::uint8_t { changed, current, averaged } evaluated_weights_ = Weights::changed;

  const float* loss_ = nullptr;     // in the result
  const float* correct_ = nullptr;  // in the result: top 1, top 5
  int last_wave_lanes_ = 0;
  // The last wave's additions: before other ranks get a bucket or, where there are none, when it is updated.
  std::vector<Merge> merges_on_arrival_, merges_on_update_;
  std::vector<std::atomic<int>> arrived_;  // per bucket of Plan::reduce: lanes that have written it
  std::vector<std::atomic<int>> updated_;  // … whose parts of it are updated

  // Of the step in hand.
  std::vector<double> block_sums_;
  std::vector<float> compute_times_;  // per rank
  StepResult step_result_;
  std::atomic<bool> is_finite_{true};
  double exposed_s_ = 0;
  bool averages_are_whole_ = false;  // where ranks average what they update: all parts are here
  kernels::StepScalars scalars_;
  kernels::OptimizerKernel optimizer_ = nullptr;
  kernels::OptimizerArenas optimizer_arenas_;
};

}  // namespace athanor::cpu
