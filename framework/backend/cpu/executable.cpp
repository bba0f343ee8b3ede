#include "backend/cpu/executable.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>

#include "backend/cpu/lane_pool.h"
#include "backend/cpu/ops/support.h"
#include "backend/cpu/program.h"
#include "backend/cpu/state_store.h"
#include "base/error.h"
#include "comm/tree_schedule.h"
#include "graph/op.h"
#include "graph/passes/liveness.h"
#include "kernels/elementwise.h"
#include "kernels/reduce.h"
#include "optim/averaging.h"
#include "optim/clipping.h"
#include "optim/optimize_plan.h"

namespace athanor::cpu {
namespace {

using Clock = std::chrono::steady_clock;

/// Elements [first, second) that a lane takes of `count`, cut at multiples of kSumBlock so that block sums stay whole.
std::pair<std::size_t, std::size_t> slice(std::size_t count, int lane, int lanes) {
  const auto block = static_cast<std::size_t>(kernels::kSumBlock);
  const std::size_t blocks = (count + block - 1) / block;
  const auto at = [&](int index) {
    return std::min(count, blocks * static_cast<std::size_t>(index) / static_cast<std::size_t>(lanes) * block);
  };
  return {at(lane), at(lane + 1)};
}

/// Whether a value of a shard holds no infinity and no NaN. Values of other types count as finite.
bool holds_finite(const Value& value, const Layout& layout, const void* data) {
  const std::int64_t count = stored_elements(value, layout);
  if (value.dtype == DType::f32) return kernels::reduce_kernels().is_finite(static_cast<const float*>(data), count, 1);
  if (value.dtype != DType::bf16) return true;
  const auto* elements = static_cast<const BFloat16*>(data);
  return std::all_of(elements, elements + count, [](BFloat16 x) { return std::isfinite(static_cast<float>(x)); });
}

class CpuExecutable : public Executable {
 public:
  explicit CpuExecutable(const ExecutableOptions& options)
      : options_(options),
        main_(options.training != nullptr ? *options.training : *options.evaluation),
        memory_(plan_memory(options)),
        store_(main_, options.optimizer),
        schedule_(make_tree_schedule(main_.shards, options.shards, options.lanes)),
        pool_(options.lanes, main_.shard_threads) {
    allocate();
    bind();
  }

  StepResult step(const Batch& batch, const StepInputs& inputs, const RankReport& report) override;
  void evaluate(const Batch& batch, std::span<float> losses, std::span<std::int32_t> ranks, bool averaged) override;
  std::vector<StateEntry> list_state() const override { return store_.list(); }
  void read_state(const StateEntry& entry, std::span<float> values) const override { store_.read(entry, values); }
  void write_state(const StateEntry& entry, std::span<const float> values) override { store_.write(entry, values); }
  std::unique_ptr<StateSnapshot> make_snapshot() const override { return store_.make_snapshot(); }
  void capture(StateSnapshot* snapshot) override {
    if (snapshot != nullptr) store_.capture(*snapshot);
  }
  std::vector<std::uint64_t> hash_state() const override { return store_.hash(); }
  std::optional<BadValue> find_non_finite(const Batch& batch) override;
  std::vector<NodeTime> profile(const Batch& batch, int repeats) override;
  MemoryPlan memory() const override { return memory_; }

 private:
  struct Pass {
    const Plan* plan = nullptr;
    std::vector<ShardProgram> lanes;
    std::vector<std::vector<Step>> prologue;  // per lane
    ArenaMemory shared;
  };

  void allocate();
  void bind();
  void bind_pass(Pass& pass, const Plan* plan);
  Arenas arenas_of(const Pass& pass, int lane) const;
  void run_prologue(const Pass& pass, int lane) const {
    for (const Step& step : pass.prologue[static_cast<std::size_t>(lane)]) step();
  }
  void run_shards(const Batch& batch, int lane);
  void merge(const std::vector<Merge>& merges, int lane);
  void reduce();
  void measure_gradient(int lane);
  void decide(const StepInputs& inputs);
  void update(int lane);
  void update_statistics();
  float* result() const { return outputs_[static_cast<std::size_t>(schedule_.pieces.front().buffer)].floats(); }
  const float* find_metric(std::string_view name) const;

  ExecutableOptions options_;
  const Plan& main_;
  MemoryPlan memory_;
  StateStore store_;
  TreeSchedule schedule_;
  LanePool pool_;
  std::vector<ArenaMemory> lane_memory_;
  std::vector<ArenaMemory> outputs_;
  Pass training_, evaluation_;

  const float* loss_ = nullptr;     // in the result
  const float* correct_ = nullptr;  // in the result: top 1, top 5

  // Of the step in hand.
  std::vector<double> block_sums_;
  StepResult step_result_;
  kernels::StepScalars scalars_;
  kernels::OptimizerKernel optimizer_ = nullptr;
  kernels::OptimizerArenas optimizer_arenas_;
};

void CpuExecutable::allocate() {
  const Plan* training = options_.training;
  std::size_t lane_bytes = 0;
  for (const Plan* plan : {training, options_.evaluation}) {
    if (plan != nullptr) lane_bytes = std::max(lane_bytes, plan->lane_bytes);
  }
  lane_memory_.resize(static_cast<std::size_t>(options_.lanes));
  outputs_.resize(training == nullptr ? 0 : static_cast<std::size_t>(schedule_.buffers));
  pool_.run([&](int lane) {
    ArenaMemory& memory = lane_memory_[static_cast<std::size_t>(lane)];
    memory = ArenaMemory(lane_bytes);
    memory.touch();
    for (std::size_t i = static_cast<std::size_t>(lane); i < outputs_.size(); i += lane_memory_.size()) {
      outputs_[i] = ArenaMemory(main_.output_elements * sizeof(float));
      outputs_[i].touch();
    }
  });
  block_sums_.resize(
      static_cast<std::size_t>(kernels::sum_blocks(static_cast<std::int64_t>(main_.parameter_elements))));
}

Arenas CpuExecutable::arenas_of(const Pass& pass, int lane) const {
  const auto index = static_cast<std::size_t>(lane);
  return {.state = reinterpret_cast<std::byte*>(store_.state()),
          .outputs = index < outputs_.size() ? outputs_[index].data() : nullptr,
          .shared = pass.shared.data(),
          .lane = lane_memory_[index].data()};
}

void CpuExecutable::bind_pass(Pass& pass, const Plan* plan) {
  if (plan == nullptr) return;
  pass.plan = plan;
  pass.shared = ArenaMemory(plan->shared_bytes);
  pass.shared.touch();
  for (int lane = 0; lane < options_.lanes; ++lane) {
    pass.lanes.emplace_back(*plan, arenas_of(pass, lane), options_.seed);
  }
  pass.prologue = bind_prologue(*plan, arenas_of(pass, 0), options_.lanes, options_.seed);
  place_constants(*plan, arenas_of(pass, 0));
}

void CpuExecutable::bind() {
  bind_pass(training_, options_.training);
  bind_pass(evaluation_, options_.evaluation);
  if (options_.training == nullptr) return;
  optimizer_ = kernels::optimizer_kernel(options_.optimizer.rule, options_.optimizer.ema.enabled());
  loss_ = find_metric("loss");
  correct_ = find_metric("correct");
  optimizer_arenas_.weights = store_.state();
  optimizer_arenas_.gradients = result();
  optimizer_arenas_.ema = store_.average();
  for (std::size_t slot = 0; slot < store_.slots().size(); ++slot) {
    optimizer_arenas_.slots[slot] = store_.slots()[slot].floats();
  }
}

StepResult CpuExecutable::step(const Batch& batch, const StepInputs& inputs, const RankReport& report) {
  step_result_.stop = report.stop != 0;
  pool_.run([&](int lane) {
    run_prologue(training_, lane);
    pool_.sync();
    run_shards(batch, lane);
    pool_.sync();
    if (lane == 0) reduce();
    pool_.sync();
    measure_gradient(lane);
    pool_.sync();
    if (lane == 0) decide(inputs);
    pool_.sync();
    update(lane);
  });
  return step_result_;
}

void CpuExecutable::run_shards(const Batch& batch, int lane) {
  ShardProgram& program = training_.lanes[static_cast<std::size_t>(lane)];
  int first = 0;
  for (const std::vector<Merge>& merges : schedule_.waves) {
    const int shard = first + lane;
    if (shard < options_.shards.count()) {
      program.load(batch, shard * program.rows());
      program.run();
    }
    first += options_.lanes;
    if (merges.empty()) continue;
    pool_.sync();
    merge(merges, lane);
    if (&merges != &schedule_.waves.back()) pool_.sync();
  }
}

/// Each lane adds its slice of every pair: elements do not see each other, so nobody waits in between.
void CpuExecutable::merge(const std::vector<Merge>& merges, int lane) {
  const auto [begin, end] = slice(main_.output_elements, lane, options_.lanes);
  const auto count = static_cast<std::int64_t>(end - begin);
  if (count == 0) return;
  const auto data = [&, begin = begin](int buffer) {
    return outputs_[static_cast<std::size_t>(buffer)].floats() + begin;
  };
  const kernels::ElementwiseKernels& kernels = kernels::elementwise_kernels();
  for (const Merge& edge : merges) {
    if (edge.right < 0) {
      std::memcpy(data(edge.target), data(edge.left), static_cast<std::size_t>(count) * sizeof(float));
    } else {
      kernels.add(DType::f32, data(edge.left), data(edge.right), data(edge.target), count, 1);
    }
  }
}

void CpuExecutable::reduce() {
  for (const ReduceStep& step : main_.reduce) {
    options_.communicator->all_reduce(result() + step.range.begin, static_cast<std::size_t>(step.range.elements()),
                                      DType::f32, ReduceOp::sum, "gradients");
  }
}

void CpuExecutable::measure_gradient(int lane) {
  const auto [begin, end] = slice(main_.parameter_elements, lane, options_.lanes);
  if (begin == end) return;
  kernels::reduce_kernels().sum_of_squares(result() + begin, static_cast<std::int64_t>(end - begin),
                                           block_sums_.data() + begin / static_cast<std::size_t>(kernels::kSumBlock),
                                           1);
}

const float* CpuExecutable::find_metric(std::string_view name) const {
  for (const MetricSlot& slot : main_.metrics) {
    if (slot.name == name) return result() + slot.offset;
  }
  ATHANOR_CHECK(false, "the plan has no metric '{}'", name);
}

void CpuExecutable::decide(const StepInputs& inputs) {
  const double squares = kernels::tree_sum(block_sums_.data(), static_cast<std::int64_t>(block_sums_.size()));
  step_result_.grad_norm = std::sqrt(squares);
  step_result_.loss = static_cast<double>(loss_[0]) / main_.shards;
  step_result_.correct = static_cast<double>(correct_[0]);
  step_result_.correct_top5 = static_cast<double>(correct_[1]);
  // A variance may overflow while loss and gradient do not; it must not enter the running statistics either.
  const auto statistics = static_cast<std::int64_t>(main_.state_elements - main_.parameter_elements);
  step_result_.finite = std::isfinite(squares) && std::isfinite(step_result_.loss) &&
                        kernels::reduce_kernels().is_finite(result() + main_.parameter_elements, statistics, 1);
  StepInputs scaled = inputs;
  scaled.grad_scale = clip_factor(step_result_.grad_norm, options_.optimizer.clip_norm);
  scalars_ = step_scalars(options_.optimizer, scaled);
}

void CpuExecutable::update(int lane) {
  if (!step_result_.finite) return;
  for (const OptimizeStep& bucket : main_.optimize) {
    for (const OptimizeSegment& segment : bucket.segments) {
      const auto length = static_cast<std::size_t>(segment.range.end - segment.range.begin);
      const auto [begin, end] = slice(length, lane, options_.lanes);
      if (begin == end) continue;
      optimizer_(kernel_range(optimizer_arenas_, segment,
                              {segment.range.begin + static_cast<std::int64_t>(begin),
                               segment.range.begin + static_cast<std::int64_t>(end)}),
                 scalars_);
    }
  }
  if (lane == 0) update_statistics();
}

void CpuExecutable::update_statistics() {
  float* state = store_.state();
  float* average = store_.average();
  for (const StateTensor& tensor : main_.state) {
    if (!tensor.is_statistic || tensor.momentum == 0) continue;
    const auto momentum = static_cast<float>(tensor.momentum);
    const float keep = 1.0f - momentum, scale = 1.0f / static_cast<float>(main_.shards);
    for (std::size_t i = tensor.offset; i < tensor.offset + tensor.elements; ++i) {
      state[i] = keep * state[i] + momentum * (result()[i] * scale);
      if (average != nullptr) average[i] += scalars_.ema_rest * (state[i] - average[i]);
    }
  }
}

void CpuExecutable::evaluate(const Batch& batch, std::span<float> losses, std::span<std::int32_t> ranks,
                             bool averaged) {
  const Plan& plan = *evaluation_.plan;
  if (averaged) std::swap_ranges(store_.state(), store_.state() + main_.state_elements, store_.average());
  pool_.run([&](int lane) {
    run_prologue(evaluation_, lane);
    pool_.sync();
    ShardProgram& program = evaluation_.lanes[static_cast<std::size_t>(lane)];
    const auto* shard_losses =
        static_cast<const float*>(address_of(plan, arenas_of(evaluation_, lane), plan.graph.outputs[0]));
    const auto* shard_ranks =
        static_cast<const std::int32_t*>(address_of(plan, arenas_of(evaluation_, lane), plan.graph.outputs[1]));
    for (int shard = lane; shard < options_.shards.count(); shard += options_.lanes) {
      const std::int64_t first = shard * program.rows();
      program.load(batch, first);
      program.run();
      std::copy_n(shard_losses, program.rows(), losses.begin() + first);
      std::copy_n(shard_ranks, program.rows(), ranks.begin() + first);
    }
  });
  if (averaged) std::swap_ranges(store_.state(), store_.state() + main_.state_elements, store_.average());
}

std::optional<BadValue> CpuExecutable::find_non_finite(const Batch& batch) {
  const Plan& plan = *training_.plan;
  std::optional<BadValue> found;
  pool_.run([&](int lane) {
    run_prologue(training_, lane);
    pool_.sync();
    if (lane != 0) return;
    ShardProgram& program = training_.lanes.front();
    for (int shard = 0; shard < options_.shards.count() && !found; ++shard) {
      program.load(batch, shard * program.rows());
      for (std::size_t i = 0; i < program.steps().size() && !found; ++i) {
        program.steps()[i]();
        const Node& node = plan.graph.node(program.nodes()[i]);
        for (const ValueId output : node.outputs) {
          const void* data = address_of(plan, arenas_of(training_, 0), output);
          if (data == nullptr ||
              holds_finite(plan.graph.value(output), plan.buffers[static_cast<std::size_t>(output)].layout, data))
            continue;
          found = BadValue{node.layer, node.op->name, shard};
          break;
        }
      }
    }
  });
  return found;
}

std::vector<NodeTime> CpuExecutable::profile(const Batch& batch, int repeats) {
  const Pass& pass = training_.plan != nullptr ? training_ : evaluation_;
  std::vector<NodeTime> times;
  for (const NodeId id : pass.lanes.front().nodes()) {
    const Node& node = pass.plan->graph.node(id);
    const auto planned = std::find_if(pass.plan->shard.begin(), pass.plan->shard.end(),
                                      [&](const PlannedStep& step) { return step.node == id; });
    times.push_back({node.layer, node.op->name, planned->implementation, 0,
                     node.op->flops ? node.op->flops(pass.plan->graph, node) : 0});
  }
  pool_.run([&](int lane) {
    run_prologue(pass, lane);
    pool_.sync();
    ShardProgram program = pass.lanes[static_cast<std::size_t>(lane)];
    for (int repeat = 0; repeat < repeats; ++repeat) {
      program.load(batch, 0);
      for (std::size_t i = 0; i < program.steps().size(); ++i) {
        const Clock::time_point start = Clock::now();
        program.steps()[i]();
        if (lane == 0) times[i].seconds += std::chrono::duration<double>(Clock::now() - start).count() / repeats;
      }
      pool_.sync();
    }
  });
  return times;
}

}  // namespace

MemoryPlan plan_memory(const ExecutableOptions& options) {
  const Plan& main = options.training != nullptr ? *options.training : *options.evaluation;
  MemoryPlan memory;
  memory.state = main.state_elements * sizeof(float);
  std::size_t lane_bytes = 0;
  for (const Plan* plan : {options.training, options.evaluation}) {
    if (plan == nullptr) continue;
    lane_bytes = std::max(lane_bytes, plan->lane_bytes);
    memory.shared += plan->shared_bytes;
  }
  memory.activations = lane_bytes * static_cast<std::size_t>(options.lanes);
  if (options.training != nullptr) {
    memory.optimizer = options.optimizer.slots.size() * main.parameter_elements * sizeof(float);
    if (options.optimizer.ema.enabled()) memory.optimizer += memory.state;
    memory.gradients =
        static_cast<std::size_t>(make_tree_schedule(main.shards, options.shards, options.lanes).buffers) *
        main.output_elements * sizeof(float);
  }
  return memory;
}

std::unique_ptr<Executable> make_executable(const ExecutableOptions& options) {
  return std::make_unique<CpuExecutable>(options);
}

}  // namespace athanor::cpu
