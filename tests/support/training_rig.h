// A network that trains, on the CPU back end where nothing else is said, without a recipe or a trainer round it: a
// plan, an executable and a batch.
#pragma once

#include <algorithm>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "backend/cpu/executable.h"
#include "backend/cpu/planner.h"
#include "comm/buckets.h"
#include "comm/communicator.h"
#include "models/initialize.h"
#include "models/training_graph.h"
#include "optim/optimize_plan.h"
#include "support/parity_data.h"

namespace athanor::testing {

/// Another back end than the CPU.
struct OtherBackend {
  BackendPlanner* planner = nullptr;
  std::function<std::unique_ptr<Executable>(const ExecutableOptions&)> make_executable = {};
  std::string precision = "fp32";  ///< ExecutableOptions::precision
  bool cuda_graph = true;
};

/// Images are those of parity_data.h, or their upper left corners: [1, side, side], 10 classes.
class TrainingRig {
 public:
  struct Options {
    ModelSpec model;
    OptimizerSpec optimizer;
    std::int64_t batch = 8;
    int shards = 1;
    int lanes = 1;
    int threads = 1;
    Communicator* communicator = nullptr;  ///< nullptr: one rank alone
    BucketSizes buckets;
    DType precision = DType::f32;
    ReductionMode reduction = ReductionMode::tree;
    DType wire = DType::f32;
    int side = kParitySide;
    std::optional<OtherBackend> other = {};
    double recomputed_work = 0;  ///< of make_plan
  };

  explicit TrainingRig(const Options& options)
      : optimizer_(options.optimizer),
        alone_(make_self_communicator()),
        communicator_(options.communicator != nullptr ? *options.communicator : *alone_),
        range_(shards_of_rank(options.shards, communicator_.rank(), communicator_.size())),
        batch_(options.batch),
        shard_rows_(options.batch / options.shards),
        side_(options.side),
        storage_(range_.count() * shard_rows_, info(options.side), host_batch_memory()) {
    const GraphOptions graph{.batch = options.batch / options.shards,
                             .height = options.side,
                             .width = options.side,
                             .mean = {0.5},
                             .std = {0.25},
                             .loss = {},
                             .compute_dtype = options.precision,
                             .shards = options.shards};
    cpu::CpuPlanner cpu_planner(options.threads);
    BackendPlanner& planner = options.other ? *options.other->planner : cpu_planner;
    plan_ = make_plan(training_graph(options.model, graph), planner, options.shards, options.threads, nullptr,
                      options.recomputed_work);
    plan_.reduce = plan_reduce_steps(plan_, options.buckets);
    plan_.update_at_once = optimizer_.clip_norm == 0;
    plan_.optimize = plan_optimize_steps(optimizer_, {}, plan_);
    ExecutableOptions executable{.training = &plan_,
                                 .evaluation = nullptr,
                                 .optimizer = optimizer_,
                                 .shards = range_,
                                 .lanes = std::min(options.lanes, range_.count()),
                                 .seed = kParitySeed,
                                 .communicator = &communicator_,
                                 .reduction = options.reduction,
                                 .wire = options.wire};
    if (options.other) {
      executable.precision = options.other->precision;
      executable.cuda_graph = options.other->cuda_graph;
    }
    executable_ = options.other ? options.other->make_executable(executable) : cpu::make_executable(executable);
    initialize_state();
  }

  const Plan& plan() const { return plan_; }
  Executable& executable() const { return *executable_; }

  /// This rank's rows of the batch of step 1, 2, …
  Batch& load(int step) {
    Batch& batch = storage_.batch();
    const ParityBatch drawn = parity_batch(step, static_cast<int>(batch_));
    const std::int64_t first = range_.first * shard_rows_;
    for (std::size_t row = 0; row < batch.images.size() / static_cast<std::size_t>(side_); ++row) {
      const auto image = static_cast<std::int64_t>(row) / side_ + first, line = static_cast<std::int64_t>(row) % side_;
      std::memcpy(batch.images.data() + row * static_cast<std::size_t>(side_),
                  drawn.images.data() + (image * kParitySide + line) * kParitySide, static_cast<std::size_t>(side_));
    }
    std::memcpy(batch.labels.data(), drawn.labels.data() + first, batch.labels.size_bytes());
    for (std::size_t n = 0; n < batch.sample_indices.size(); ++n) {
      batch.sample_indices[n] = step * batch_ + first + static_cast<std::int64_t>(n);
      batch.transforms[n] = {};
    }
    batch.valid = batch.rows;
    return batch;
  }
  /// Hands over one update from the batch in hand; returns what Executable::step does.
  std::optional<StepResult> submit(int number, const RankReport& report = {}) {
    return executable_->step(storage_.batch(), {.step = number, .lr = optimizer_.lr, .momentum = {}, .grad_scale = 1},
                             report);
  }
  /// One update on a back end that returns its result at once.
  StepResult step(int number) { return submit(number).value(); }
  StepResult train(int number) {
    load(number);
    return step(number);
  }

  std::vector<float> read(const StateEntry& entry) const {
    std::vector<float> values(static_cast<std::size_t>(entry.shape.elements()));
    executable_->read_state(entry, values);
    return values;
  }
  /// Everything that the next step depends on, in one piece.
  std::vector<float> state() const {
    std::vector<float> all;
    for (const StateEntry& entry : executable_->list_state()) {
      const std::vector<float> values = read(entry);
      all.insert(all.end(), values.begin(), values.end());
    }
    return all;
  }

 private:
  static DatasetInfo info(int side) {
    DatasetInfo info;
    info.channels = 1;
    info.height = info.width = side;
    info.classes = kParityClasses;
    return info;
  }

  /// Weights and biases of convolutions and linears from parity_data.h, everything else as the model starts it.
  void initialize_state() {
    for (const StateEntry& entry : executable_->list_state()) {
      if (entry.kind != StateKind::parameter && entry.kind != StateKind::statistic) continue;
      const Value& value = plan_.graph.value(plan_.graph.find(entry.name));
      const std::int64_t fan_in = fan_in_of(entry.name);
      std::vector<float> values(static_cast<std::size_t>(entry.shape.elements()));
      if (fan_in > 0)
        values = parity_weights(entry.name, values.size(), fan_in);
      else
        initialize(value, kParitySeed, values);
      executable_->write_state(entry, values);
    }
  }

  /// Of the layer that a weight or a bias belongs to; 0 for norms, whose weights are vectors.
  std::int64_t fan_in_of(const std::string& name) const {
    const ValueId weight = plan_.graph.find(name.substr(0, name.rfind('.')) + ".weight");
    if (weight == kNoValue) return 0;
    const Shape& shape = plan_.graph.value(weight).shape;
    return shape.rank() < 2 ? 0 : shape.elements() / shape[0];
  }

  OptimizerSpec optimizer_;
  std::unique_ptr<Communicator> alone_;
  Communicator& communicator_;
  ShardRange range_;
  std::int64_t batch_;
  std::int64_t shard_rows_;
  std::int64_t side_;
  BatchStorage storage_;
  Plan plan_;
  std::unique_ptr<Executable> executable_;
};

}  // namespace athanor::testing
