// One update. Two are under way at a time, one in each slot: while the GPU runs one, the host hands over the next and
// takes the result of the one before. After a few steps launch by launch, each slot's step is a graph that is replayed.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>

#include "backend/cuda/cuda_executable.h"
#include "base/error.h"
#include "graph/op.h"
#include "kernels/reduce.h"

namespace athanor::cuda {
namespace {

using kernels::cuda::StepControl;
using kernels::cuda::StepMemory;
using kernels::cuda::StepOutcome;

/// Libraries set themselves up, and peers connect, in the first steps; only then can a step be captured.
constexpr std::int64_t kWarmUpSteps = 3;

/// A copy of `values` in device memory.
template <typename T>
DeviceMemory device_copy(Device& device, const std::vector<T>& values) {
  const DeviceMemory staging(device, MemoryKind::pinned, values.size() * sizeof(T));
  DeviceMemory memory(device, MemoryKind::device, staging.bytes());
  if (values.empty()) return memory;
  std::memcpy(staging.data(), values.data(), staging.bytes());
  device.copy(memory.data(), staging.data(), staging.bytes(), Stream::compute);
  device.synchronize();
  return memory;
}

}  // namespace

std::int64_t CudaExecutable::metric_offset(std::string_view name) const {
  for (const MetricSlot& slot : main_.metrics) {
    if (slot.name == name) return static_cast<std::int64_t>(slot.offset);
  }
  ATHANOR_CHECK(false, "the plan has no metric '{}'", name);
}

void CudaExecutable::bind_update() {
  const auto parameters = static_cast<std::int64_t>(main_.parameter_elements);
  const std::int64_t blocks = kernels::sum_blocks(parameters);
  block_sums_ = DeviceMemory(device_, MemoryKind::device, static_cast<std::size_t>(blocks) * sizeof(double));
  device_.fill_zero(block_sums_.data(), block_sums_.bytes(), Stream::compute);
  scalars_ = DeviceMemory(device_, MemoryKind::device, sizeof(kernels::StepScalars));
  outcomes_ = DeviceMemory(device_, MemoryKind::pinned, kSlots * sizeof(StepOutcome));
  for (const ReduceStep& bucket : main_.reduce) {
    if (bucket.range.begin >= parameters) continue;
    norms_.push_back({.values = result() + bucket.range.begin,
                      .count = bucket.range.elements(),
                      .block_sums = block_sums_.as<double>() + bucket.range.begin / kernels::kSumBlock});
  }

  std::vector<kernels::cuda::OptimizerSegment> segments;
  for (const OptimizeStep& step : main_.optimize) {
    for (const OptimizeSegment& segment : step.segments) {
      segments.push_back(
          {segment.range.begin, segment.range.end, segment.lr_scale, segment.l2_decay, segment.decoupled_decay});
    }
  }
  std::vector<kernels::cuda::StatisticRange> statistics;
  for (const StateTensor& tensor : main_.state) {
    if (!tensor.is_statistic || tensor.momentum == 0) continue;
    statistics.push_back({static_cast<std::int64_t>(tensor.offset), static_cast<std::int64_t>(tensor.elements),
                          static_cast<float>(tensor.momentum)});
  }
  segments_ = device_copy(device_, segments);
  statistics_ = device_copy(device_, statistics);
  std::vector<StepMemory> initial(1);
  if (!scales_loss_) initial[0].loss_scale = 1;
  const DeviceMemory first = device_copy(device_, initial);
  device_.copy(step_memory_.data(), first.data(), first.bytes(), Stream::compute);
  device_.synchronize();

  if (scales_loss_)
    store_.add_numbers("loss_scale/scale_and_good_steps", &step_memory_.as<StepMemory>()->loss_scale, 2);
  auto* const scalars = scalars_.as<kernels::StepScalars>();
  guard_ = {.memory = step_memory_.as<StepMemory>(),
            .loss = result() + metric_offset("loss"),
            .correct = result() + metric_offset("correct"),
            .block_sums = block_sums_.as<double>(),
            .blocks = blocks,
            .statistics = result() + parameters,
            .statistic_count = static_cast<std::int64_t>(main_.state_elements) - parameters,
            .shards = main_.shards,
            .optimizer = settings_of(options_.optimizer),
            .scales_loss = scales_loss_,
            .stops_on_nonfinite = !options_.skip_nonfinite,
            .scalars = scalars};
  optimizer_ = {.rule = options_.optimizer.rule,
                .arenas = {.weights = store_.state(), .gradients = result(), .ema = store_.average()},
                .segments = segments_.as<kernels::cuda::OptimizerSegment>(),
                .segment_count = static_cast<std::int32_t>(segments.size()),
                .elements = parameters,
                .scalars = scalars};
  for (std::size_t slot = 0; slot < store_.slots(); ++slot) optimizer_.arenas.slots[slot] = store_.slot(slot);
  if (const auto type = parameter_cast(main_)) {
    optimizer_.cast_to = *type;
    optimizer_.cast = cast_parameters_.data();
  }
  update_statistics_ = {.state = store_.state(),
                        .average = store_.average(),
                        .contributions = result(),
                        .ranges = statistics_.as<kernels::cuda::StatisticRange>(),
                        .range_count = static_cast<std::int32_t>(statistics.size()),
                        .shards = main_.shards,
                        .scalars = scalars};
  for (DeviceEvent& event : done_) event = DeviceEvent(device_);
  forked_ = DeviceEvent(device_);
  for (const BoundStep& step : training_.shards[0].front()) {
    beside_done_.push_back(step.beside ? DeviceEvent(device_) : DeviceEvent());
  }
}

std::optional<StepResult> CudaExecutable::step(const Batch& batch, const StepInputs& inputs, const RankReport& report) {
  const auto slot = static_cast<int>(submitted_ % kSlots);
  std::optional<StepResult> known;
  if (in_flight_[static_cast<std::size_t>(slot)].is_busy) known = finish(slot);
  const auto start = std::chrono::steady_clock::now();
  write_control(slot, inputs);
  training_.inputs->upload(batch, slot, options_.resident_batch && submitted_ >= kSlots);
  refresh_casts();
  reduction_->set_step(inputs.number > 0 ? inputs.number : submitted_ + 1);
  reduction_->begin_step(report, slot);
  const GraphExec graph = graphs_[static_cast<std::size_t>(slot)].get();
  if (graph != nullptr) {
    device_.launch(graph, Stream::compute);
  } else {
    enqueue_step(slot);
  }
  device_.record(done_[static_cast<std::size_t>(slot)].get(), Stream::compute);
  const double host_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  in_flight_[static_cast<std::size_t>(slot)] = {true, host_s};
  ++submitted_;
  if (submitted_ == kWarmUpSteps && options_.cuda_graph && reduction_->capturable()) capture_steps();
  return known;
}

std::optional<StepResult> CudaExecutable::await_result() {
  const auto slot = static_cast<int>(returned_ % kSlots);
  if (!in_flight_[static_cast<std::size_t>(slot)].is_busy) return std::nullopt;
  return finish(slot);
}

void CudaExecutable::write_control(int slot, const StepInputs& inputs) {
  StepControl control;
  control.lr = inputs.lr;
  control.momentum = inputs.momentum.value_or(0);
  control.has_momentum = inputs.momentum.has_value();
  control.first_update = is_fresh_ ? inputs.step : 0;
  std::memcpy(training_.inputs->pinned_extra(slot), &control, sizeof(control));
  is_fresh_ = false;
}

StepResult CudaExecutable::finish(int slot) {
  const auto index = static_cast<std::size_t>(slot);
  device_.synchronize(done_[index].get());
  in_flight_[index].is_busy = false;
  ++returned_;
  const StepOutcome& outcome = outcomes_.as<StepOutcome>()[slot];
  StepResult result{.loss = outcome.loss,
                    .correct = outcome.correct,
                    .correct_top5 = outcome.correct_top5,
                    .grad_norm = outcome.grad_norm,
                    .finite = outcome.finite != 0,
                    .comm_exposed_s = reduction_->exposed_s(slot),
                    .comm_bytes = reduction_->step_bytes(),
                    .host_s = in_flight_[index].host_s};
  result.expected = outcome.overflowed != 0;
  const RankVerdict verdict = judge_ranks(reduction_->reports(slot), compute_times_);
  result.stop = verdict.stop;
  result.slowest_rank = verdict.slowest_rank;
  result.slowest_lag_s = verdict.lag_s;
  return result;
}

void CudaExecutable::capture_steps() {
  device_.synchronize();
  reduction_->set_capturing(true);
  for (int slot = 0; slot < kSlots; ++slot) {
    device_.begin_capture(Stream::compute);
    enqueue_step(slot);
    graphs_[static_cast<std::size_t>(slot)] = CapturedGraph(device_, device_.end_capture(Stream::compute));
  }
  reduction_->set_capturing(false);
}

void CudaExecutable::enqueue_step(int slot) {
  reduction_->open(slot);
  for (const BoundStep& step : training_.prologue) step.run(Stream::compute);
  lock_step_ ? enqueue_in_lock_step(slot) : enqueue_shards(slot);
  enqueue_update(slot);
  reduction_->close(slot);
}

void CudaExecutable::run(const std::vector<BoundStep>& steps, std::size_t at) {
  const BoundStep& step = steps[at];
  device_.push_range(training_.plan->graph.node(step.node).layer.c_str());
  if (step.beside) {
    device_.record(forked_.get(), Stream::compute);
    device_.wait(Stream::beside, forked_.get());
    step.run(Stream::beside);
    device_.record(beside_done_[at].get(), Stream::beside);
    last_beside_ = static_cast<std::int32_t>(at);
  } else {
    if (step.awaits >= 0) {
      device_.wait(Stream::compute, beside_done_[static_cast<std::size_t>(step.awaits)].get());
      if (step.awaits == last_beside_) last_beside_ = -1;
    }
    step.run(Stream::compute);
  }
  device_.pop_range();
}

/// Compute waits for all that runs beside it.
void CudaExecutable::join_beside() {
  if (last_beside_ < 0) return;
  device_.wait(Stream::compute, beside_done_[static_cast<std::size_t>(last_beside_)].get());
  last_beside_ = -1;
}

/// In the last shard's pass a bucket is handed over as soon as it is complete.
void CudaExecutable::enqueue_shards(int slot) {
  const ArenaRange all{0, static_cast<std::int64_t>(main_.output_elements)};
  const auto& shards = training_.shards[static_cast<std::size_t>(slot)];
  for (std::size_t shard = 0; shard + 1 < shards.size(); ++shard) {
    for (std::size_t at = 0; at < shards[shard].size(); ++at) run(shards[shard], at);
    join_beside();
    merge(schedule_.waves[shard], all);
  }
  const std::vector<BoundStep>& last = shards.back();
  const bool has_merges = !schedule_.waves.back().empty();
  std::size_t at = 0;
  for (std::size_t bucket = 0; bucket < main_.reduce.size(); ++bucket) {
    for (; at < last.size() && last[at].planned <= main_.reduce[bucket].ready_after; ++at) run(last, at);
    if (has_merges || reduction_->kind() != ReductionKind::alone) join_beside();
    merge(schedule_.waves.back(), main_.reduce[bucket].range);
    reduction_->enqueue(bucket);
  }
  for (; at < last.size(); ++at) run(last, at);
  join_beside();
}

/// All shards up to each place where they meet.
void CudaExecutable::enqueue_in_lock_step(int slot) {
  const auto& shards = training_.shards[static_cast<std::size_t>(slot)];
  for (std::size_t at = 0; at < shards.front().size(); ++at) {
    const Node& node = main_.graph.node(shards.front()[at].node);
    for (const std::vector<BoundStep>& shard : shards) run(shard, at);
    if (node.op->synchronizes) meet(node);
  }
  for (std::size_t bucket = 0; bucket < main_.reduce.size(); ++bucket) {
    merge(schedule_.waves.back(), main_.reduce[bucket].range);
    reduction_->enqueue(bucket);
  }
}

/// Every shard gets what each of them has at the op's input, by number.
void CudaExecutable::meet(const Node& node) {
  const std::size_t bytes = BackendPlanner::dense_bytes(main_.graph.value(node.inputs[0]));
  const auto address = [&](std::size_t shard, ValueId value) {
    return static_cast<std::byte*>(address_of(main_, arenas_of(training_, static_cast<int>(shard)), value));
  };
  std::byte* const all = address(0, node.outputs[0]);
  for (std::size_t shard = 0; shard < lanes_.size(); ++shard) {
    device_.copy(all + shard * bytes, address(shard, node.inputs[0]), bytes, Stream::compute);
  }
  for (std::size_t shard = 1; shard < lanes_.size(); ++shard) {
    device_.copy(address(shard, node.outputs[0]), all, lanes_.size() * bytes, Stream::compute);
  }
}

void CudaExecutable::merge(const std::vector<Merge>& merges, ArenaRange range) {
  if (range.elements() == 0) return;
  const auto data = [&](int buffer) { return outputs_[static_cast<std::size_t>(buffer)].as<float>() + range.begin; };
  for (const Merge& edge : merges) {
    if (edge.right < 0) {
      device_.copy(data(edge.target), data(edge.left), static_cast<std::size_t>(range.elements()) * sizeof(float),
                   Stream::compute);
    } else {
      launch(device_,
             kernels::cuda::TreeAdd{.left = data(edge.left),
                                    .right = data(edge.right),
                                    .target = data(edge.target),
                                    .count = range.elements()},
             Stream::compute);
    }
  }
}

/// Nothing is written before loss, statistics and the whole gradient are known to be finite.
void CudaExecutable::enqueue_update(int slot) {
  std::size_t norm = 0;
  for (std::size_t bucket = 0; bucket < main_.reduce.size(); ++bucket) {
    reduction_->wait(bucket);
    if (main_.reduce[bucket].range.begin >= static_cast<std::int64_t>(main_.parameter_elements)) continue;
    launch(device_, norms_[norm++], Stream::compute);
  }
  kernels::cuda::Guard guard = guard_;
  guard.control = static_cast<const StepControl*>(training_.inputs->extra(slot));
  guard.outcome = outcomes_.as<StepOutcome>() + slot;
  launch(device_, guard, Stream::compute);
  launch(device_, optimizer_, Stream::compute);
  launch(device_, update_statistics_, Stream::compute);
}

}  // namespace athanor::cuda
