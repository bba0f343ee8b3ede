// The CUDA back end's executable: arenas, bound steps and the graphs that replay them. Three files implement it:
// executable.cpp (memory, binding, evaluation), executable_step.cpp (one update) and executable_inspect.cpp (what looks
// at single nodes).
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <vector>

#include "backend/cuda/bound_pass.h"
#include "backend/cuda/device_memory.h"
#include "backend/cuda/device_reduction.h"
#include "backend/cuda/executable.h"
#include "backend/cuda/input_buffers.h"
#include "backend/cuda/state_store.h"
#include "comm/tree_schedule.h"
#include "kernels/cuda/guard.h"
#include "kernels/cuda/optimizer.h"
#include "kernels/cuda/reduce.h"

namespace athanor::cuda {

/// A captured graph that frees itself.
class CapturedGraph {
 public:
  CapturedGraph() = default;
  CapturedGraph(Device& device, GraphExec graph) : device_(&device), graph_(graph) {}
  ~CapturedGraph() {
    if (graph_ != nullptr) device_->release(graph_);
  }
  CapturedGraph(CapturedGraph&& other) noexcept
      : device_(other.device_), graph_(std::exchange(other.graph_, nullptr)) {}
  CapturedGraph& operator=(CapturedGraph&& other) noexcept {
    std::swap(device_, other.device_);
    std::swap(graph_, other.graph_);
    return *this;
  }
  GraphExec get() const { return graph_; }

 private:
  Device* device_ = nullptr;
  GraphExec graph_ = nullptr;
};

class CudaExecutable final : public Executable {
 public:
  CudaExecutable(const ExecutableOptions& options, Device& device, EngineChoice& engines);
  ~CudaExecutable() override;

  std::optional<StepResult> step(const Batch& batch, const StepInputs& inputs, const RankReport& report) override;
  std::optional<StepResult> await_result() override;
  void evaluate(const Batch& batch, std::span<float> losses, std::span<std::int32_t> ranks, bool averaged) override;
  std::vector<StateEntry> list_state() const override { return store_.list(); }
  void read_state(const StateEntry& entry, std::span<float> values) const override { store_.read(entry, values); }
  void write_state(const StateEntry& entry, std::span<const float> values) override;
  std::unique_ptr<StateSnapshot> make_snapshot() const override { return store_.make_snapshot(); }
  void capture(StateSnapshot* snapshot) override;
  std::vector<std::uint64_t> hash_state() const override { return store_.hash(); }
  std::optional<BadValue> find_non_finite(const Batch& batch) override;
  std::vector<NodeTime> profile(const Batch& batch, int repeats) override;
  MemoryPlan memory() const override { return memory_; }

 private:
  /// A plan bound for every shard of the rank and both input buffers.
  struct Pass {
    const Plan* plan = nullptr;
    std::unique_ptr<InputBuffers> inputs;
    DeviceMemory shared;
    std::vector<BoundStep> prologue;
    std::array<std::vector<std::vector<BoundStep>>, kSlots> shards;  // by slot, by shard of this rank
  };
  /// An update that is under way in a slot.
  struct InFlight {
    bool is_busy = false;
    double host_s = 0;  // that handing it over took
  };

  Arenas arenas_of(const Pass& pass, int copy) const;
  void allocate();
  void bind_pass(Pass& pass, const Plan* plan, std::size_t extra_bytes);
  void bind_update();
  void place_constants(const Pass& pass);
  std::int64_t metric_offset(std::string_view name) const;
  float* result() const { return outputs_[static_cast<std::size_t>(schedule_.pieces.front().buffer)].as<float>(); }

  void enqueue_step(int slot);
  void enqueue_shards(int slot);
  void enqueue_in_lock_step(int slot);
  void enqueue_update(int slot);
  void run(const std::vector<BoundStep>& steps, std::size_t at);
  void join_beside();
  void merge(const std::vector<Merge>& merges, ArenaRange range);
  void meet(const Node& node);
  void write_control(int slot, const StepInputs& inputs);
  void capture_steps();
  StepResult finish(int slot);
  void swap_averages();
  void refresh_casts();
  bool holds_non_finite(NodeId id, int copy);

  ExecutableOptions options_;
  Device& device_;
  EngineChoice& engines_;
  const Plan& main_;
  bool lock_step_;
  bool scales_loss_;
  MemoryPlan memory_;
  TreeSchedule schedule_;
  StateStore store_;
  std::unique_ptr<DeviceReduction> reduction_;  // where the executable trains
  std::vector<DeviceMemory> lanes_;             // one, or one a shard where they meet
  std::vector<DeviceMemory> outputs_;           // as TreeSchedule numbers them
  Pass training_, evaluation_;
  DeviceMemory pinned_results_;   // of evaluation
  DeviceMemory cast_parameters_;  // what BindContext says of it
  bool casts_are_stale_ = true;

  // The update.
  DeviceMemory block_sums_, segments_, statistics_, step_memory_, scalars_, outcomes_, flag_;
  std::vector<kernels::cuda::SumOfSquares> norms_;  // one a bucket of parameters
  kernels::cuda::Guard guard_;
  kernels::cuda::OptimizerPass optimizer_;
  kernels::cuda::UpdateStatistics update_statistics_;

  DeviceEvent forked_;
  std::vector<DeviceEvent> beside_done_;  // by step of a shard
  std::int32_t last_beside_ = -1;         // that compute has not waited for; −1: none
  std::array<DeviceEvent, kSlots> done_;
  std::array<InFlight, kSlots> in_flight_;
  std::array<CapturedGraph, kSlots> graphs_;
  std::int64_t submitted_ = 0;
  std::int64_t returned_ = 0;
  bool is_fresh_ = true;              // the device's count of updates is not set yet
  std::vector<float> compute_times_;  // per rank: scratch
};

}  // namespace athanor::cuda
