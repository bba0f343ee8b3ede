// A plan that runs: what every back end gives the trainer. The trainer only says `step`.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "comm/gradient_reduction.h"
#include "comm/rank_report.h"
#include "comm/shard_range.h"
#include "data/batch.h"
#include "graph/plan.h"
#include "optim/optimizer.h"

namespace athanor {

/// What one update did. Sums are over the global batch.
struct StepResult {
  double loss = 0;              ///< mean over the batch
  double correct = 0;           ///< samples whose label is the largest logit
  double correct_top5 = 0;      ///< … is among the five largest
  double grad_norm = 0;         ///< L2 norm of the whole gradient, before clipping
  bool finite = true;           ///< loss, gradient and batch statistics are; where not, nothing was updated, or with
                                ///< Plan::update_at_once not all
  bool expected = false;        ///< not finite, but only because a loss scale is looking for its place
  bool stop = false;            ///< whether any rank's report asks to stop: the same on all ranks
  double comm_exposed_s = 0;    ///< that the step waited for other ranks
  std::int64_t comm_bytes = 0;  ///< sent to other ranks for this step
  double host_s = 0;            ///< that the host took to hand the step over to a device that runs behind
  int slowest_rank = 0;         ///< whose gradients were ready last
  double slowest_lag_s = 0;     ///< how much later than the median rank's
};

/// Where the first number that is not finite came up.
struct BadValue {
  std::string layer;
  std::string op;
  std::int64_t shard = 0;
};

/// Seconds that one node takes, by name.
struct NodeTime {
  std::string layer;
  std::string op;
  std::string implementation;
  double seconds = 0;
  double flops = 0;
};

enum class StateKind : std::uint8_t { parameter, statistic, optimizer, average };

/// One named tensor of everything that the next step depends on.
struct StateEntry {
  StateKind kind = StateKind::parameter;
  std::string name;  ///< "stage1.block1.conv1.weight"; optimizer state: "exp_avg/stage1.block1.conv1.weight"
  Shape shape;       ///< logical; float32
};

/// A copy of everything that the next step depends on, as it lies in the device's memory: taken at once, read at
/// leisure by another thread while training goes on.
class StateSnapshot {
 public:
  virtual ~StateSnapshot() = default;
  /// An entry of Executable::list_state in logical order (OIHW). Thread-safe.
  virtual void read(const StateEntry& entry, std::span<float> values) const = 0;
  virtual std::size_t bytes() const = 0;
};

/// Bytes by use, known before anything is allocated.
struct MemoryPlan {
  std::size_t state = 0;        ///< parameters, running statistics
  std::size_t optimizer = 0;    ///< optimizer slots, averaged weights
  std::size_t gradients = 0;    ///< what shards hand in, and the accumulators of the tree
  std::size_t activations = 0;  ///< lane arenas
  std::size_t shared = 0;       ///< constants, reordered and cast weights
  std::size_t data = 0;         ///< host memory: images held, batches ahead of the step; no back end fills it in
  std::size_t snapshot = 0;     ///< host memory of rank 0: the copy that a checkpoint is written from; nor this

  /// What the device holds.
  std::size_t device() const { return state + optimizer + gradients + activations + shared; }
  std::size_t total() const { return device() + data + snapshot; }
};

struct ExecutableOptions {
  const Plan* training = nullptr;    ///< or nullptr: evaluates only
  const Plan* evaluation = nullptr;  ///< or nullptr: trains only
  OptimizerSpec optimizer;
  ShardRange shards;  ///< of the plan's, those that this rank runs
  int lanes = 1;      ///< shards that run side by side
  std::uint64_t seed = 0;
  Communicator* communicator = nullptr;  ///< outlives the executable
  ReductionMode reduction = ReductionMode::tree;
  DType wire = DType::f32;         ///< of gradients between ranks, with ReductionMode::library: f32, bf16 or f16
  std::string precision = "fp32";  ///< train.precision: "fp16" scales the loss
  bool deterministic = true;       ///< only algorithms that give the same bits every time
  bool skip_nonfinite = false;     ///< goes on after a step whose numbers are not finite, without its update
  bool cuda_graph = true;          ///< cuda: a step is launched as one graph
  bool cuda_overlap = true;        ///< cuda: gradients of weights run beside the rest of backward
  bool resident_batch = false;     ///< all batches hold the first one's images: for benchmarks
};

class Executable {
 public:
  virtual ~Executable() = default;

  /// One update from the rows of this rank, which may be overwritten when this returns. `inputs.grad_scale` is ignored:
  /// shard gradients sum to the batch's mean. Collective: all ranks step together. A device may run behind: what is
  /// returned is of the oldest update whose result was not returned yet, or nothing where that is not known yet. All
  /// ranks get the same result at the same call.
  virtual std::optional<StepResult> step(const Batch& batch, const StepInputs& inputs,
                                         const RankReport& report = {}) = 0;
  /// Waits for the oldest update whose result was not returned yet; nothing: all were. Before the state is read.
  virtual std::optional<StepResult> await_result() { return std::nullopt; }
  /// Loss of each row (0 where masked) and the rank of its label's logit (0: correct; −1: masked). `averaged`: with the
  /// averaged weights.
  virtual void evaluate(const Batch& batch, std::span<float> losses, std::span<std::int32_t> ranks, bool averaged) = 0;

  /// Everything the next step depends on, in a fixed order.
  virtual std::vector<StateEntry> list_state() const = 0;
  /// Copies an entry in logical order (OIHW). `values` has shape.elements() floats.
  virtual void read_state(const StateEntry& entry, std::span<float> values) const = 0;
  virtual void write_state(const StateEntry& entry, std::span<const float> values) = 0;

  /// Memory for a snapshot, made real at once, so that taking one costs no more than the copy.
  virtual std::unique_ptr<StateSnapshot> make_snapshot() const = 0;
  /// Copies the state into `snapshot`; nullptr: this rank only hands over its part of a sharded optimizer's state.
  /// Collective; no more than one rank keeps a copy, rank 0.
  virtual void capture(StateSnapshot* snapshot) = 0;
  /// A 64-bit hash of every entry of list_state that all ranks hold alike (parameters, statistics), as it lies in
  /// memory: the back end's own, for comparing ranks.
  virtual std::vector<std::uint64_t> hash_state() const = 0;

  /// Runs the forward and backward pass of a batch once more, node by node, without an update, and names the first
  /// output that is not finite. Where shards meet on their way (Plan::has_meetings) all ranks must call it together and
  /// get the same answer.
  virtual std::optional<BadValue> find_non_finite(const Batch& batch) = 0;
  /// Time of every node of one shard while all lanes run, mean of `repeats`; no update.
  virtual std::vector<NodeTime> profile(const Batch& batch, int repeats) = 0;
  virtual MemoryPlan memory() const = 0;
};

}  // namespace athanor
