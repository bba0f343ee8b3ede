// A plan that runs: what every back end gives the trainer. The trainer only says `step`.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "data/batch.h"
#include "graph/plan.h"
#include "optim/optimizer.h"

namespace athanor {

/// What one update did. Sums are over the global batch.
struct StepResult {
  double loss = 0;          ///< mean over the batch
  double correct = 0;       ///< samples whose label is the largest logit
  double correct_top5 = 0;  ///< … is among the five largest
  double grad_norm = 0;     ///< L2 norm of the whole gradient, before clipping
  bool finite = true;       ///< loss, gradient and batch statistics are; where not, nothing was updated
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

/// Bytes by use, known before anything is allocated.
struct MemoryPlan {
  std::size_t state = 0;        ///< parameters, running statistics
  std::size_t optimizer = 0;    ///< optimizer slots, averaged weights
  std::size_t gradients = 0;    ///< what shards hand in, and the accumulators of the tree
  std::size_t activations = 0;  ///< lane arenas
  std::size_t shared = 0;       ///< constants, reordered and cast weights
  std::size_t data = 0;         ///< host memory: images held, batches ahead of the step; no back end fills it in

  /// What the device holds.
  std::size_t device() const { return state + optimizer + gradients + activations + shared; }
  std::size_t total() const { return device() + data; }
};

struct ExecutableOptions {
  const Plan* training = nullptr;    ///< or nullptr: evaluates only
  const Plan* evaluation = nullptr;  ///< or nullptr: trains only
  OptimizerSpec optimizer;
  int local_shards = 1;  ///< of the plan's, those that this rank runs
  int lanes = 1;         ///< shards that run side by side
  std::uint64_t seed = 0;
  Communicator* communicator = nullptr;
};

class Executable {
 public:
  virtual ~Executable() = default;

  /// One update from the rows of this rank. `inputs.grad_scale` is ignored: shard gradients sum to the batch's mean.
  virtual StepResult step(const Batch& batch, const StepInputs& inputs) = 0;
  /// Loss of each row (0 where masked) and the rank of its label's logit (0: correct; −1: masked). `averaged`: with the
  /// averaged weights.
  virtual void evaluate(const Batch& batch, std::span<float> losses, std::span<std::int32_t> ranks, bool averaged) = 0;

  /// Everything the next step depends on, in a fixed order.
  virtual std::vector<StateEntry> list_state() const = 0;
  /// Copies an entry in logical order (OIHW). `values` has shape.elements() floats.
  virtual void read_state(const StateEntry& entry, std::span<float> values) const = 0;
  virtual void write_state(const StateEntry& entry, std::span<const float> values) = 0;

  /// Runs the forward and backward pass of a batch once more, node by node, without an update, and names the first
  /// output that is not finite.
  virtual std::optional<BadValue> find_non_finite(const Batch& batch) = 0;
  /// Time of every node of one shard while all lanes run, mean of `repeats`; no update.
  virtual std::vector<NodeTime> profile(const Batch& batch, int repeats) = 0;
  virtual MemoryPlan memory() const = 0;
};

}  // namespace athanor
