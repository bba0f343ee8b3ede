#include "backend/cpu/executable.h"

#include <algorithm>

#include "backend/cpu/cpu_executable.h"
#include "base/error.h"
#include "graph/passes/liveness.h"

namespace athanor::cpu {
namespace {

GradientReductionOptions reduction_options(const ExecutableOptions& options) {
  return {.mode = options.reduction, .wire = options.wire, .sharded_update = options.optimizer.shard};
}

std::unique_ptr<GradientReduction> make_reduction(const ExecutableOptions& options) {
  if (options.training == nullptr) return nullptr;
  return std::make_unique<GradientReduction>(*options.communicator, *options.training, reduction_options(options));
}

/// Elements of the parameter arena whose optimizer state this rank keeps; empty: all.
std::vector<ArenaRange> owned_ranges(const ExecutableOptions& options, const GradientReduction* reduction, int rank) {
  std::vector<ArenaRange> ranges;
  if (reduction == nullptr || !options.optimizer.shard) return ranges;
  const std::vector<ReduceStep>& steps = options.training->reduce;
  for (std::size_t bucket = 0; bucket < steps.size(); ++bucket) {
    const bool is_parameters =
        steps[bucket].range.begin < static_cast<std::int64_t>(options.training->parameter_elements);
    if (is_parameters) ranges.push_back(reduction->owned_by(bucket, rank));
  }
  return ranges;
}

bool trains_in_lock_step(const ExecutableOptions& options) {
  return options.training != nullptr && options.training->has_meetings();
}

/// Shards that are under way at a time: one a lane, or all of the rank where they meet on their way.
int shards_under_way(const ExecutableOptions& options) {
  return trains_in_lock_step(options) ? std::max(options.lanes, options.shards.count()) : options.lanes;
}

}  // namespace

CpuExecutable::CpuExecutable(const ExecutableOptions& options)
    : options_(options),
      main_(options.training != nullptr ? *options.training : *options.evaluation),
      memory_(plan_memory(options)),
      under_way_(shards_under_way(options)),
      schedule_(make_tree_schedule(main_.shards, options.shards, under_way_)),
      reduction_(make_reduction(options)),
      store_(main_, options.optimizer, owned_ranges(options, reduction_.get(), options.communicator->rank())),
      pool_(options.lanes, main_.shard_threads),
      arrived_(main_.reduce.size()),
      updated_(main_.reduce.size()) {
  allocate();
  bind();
}

void CpuExecutable::allocate() {
  const Plan* training = options_.training;
  std::size_t lane_bytes = 0;
  for (const Plan* plan : {training, options_.evaluation}) {
    if (plan != nullptr) lane_bytes = std::max(lane_bytes, plan->lane_bytes);
  }
  lane_memory_.resize(static_cast<std::size_t>(under_way_));
  outputs_.resize(training == nullptr ? 0 : static_cast<std::size_t>(schedule_.buffers));
  pool_.run([&](int lane) {
    const auto first = static_cast<std::size_t>(lane), lanes = static_cast<std::size_t>(options_.lanes);
    for (std::size_t i = first; i < lane_memory_.size(); i += lanes) {
      lane_memory_[i] = ArenaMemory(i < lanes ? lane_bytes : training->lane_bytes);
      lane_memory_[i].touch();
    }
    for (std::size_t i = first; i < outputs_.size(); i += lanes) {
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
  const int copies = plan == options_.training ? under_way_ : options_.lanes;
  for (int copy = 0; copy < copies; ++copy) pass.lanes.emplace_back(*plan, arenas_of(pass, copy), options_.seed);
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
  bind_buckets();
}

const float* CpuExecutable::find_metric(std::string_view name) const {
  for (const MetricSlot& slot : main_.metrics) {
    if (slot.name == name) return result() + slot.offset;
  }
  ATHANOR_CHECK(false, "the plan has no metric '{}'", name);
}

void CpuExecutable::bind_buckets() {
  const auto end = static_cast<std::int64_t>(main_.parameter_elements);
  for (std::size_t reduce = 0; reduce < main_.reduce.size(); ++reduce) {
    if (main_.reduce[reduce].range.begin >= end) continue;
    ATHANOR_CHECK(buckets_.size() < main_.optimize.size(), "a bucket of gradients that nothing updates");
    ATHANOR_CHECK(main_.reduce[reduce].range.end <= end, "a bucket of gradients and of what is behind them");
    buckets_.push_back({reduce, &main_.optimize[buckets_.size()], reduction_->owned(reduce)});
  }
  std::vector<float*> pieces;
  for (const Piece& piece : schedule_.pieces)
    pieces.push_back(outputs_[static_cast<std::size_t>(piece.buffer)].floats());
  reduction_->bind(std::move(pieces));
  (options_.communicator->size() == 1 ? merges_on_update_ : merges_on_arrival_) = schedule_.waves.back();
  const int shards = options_.shards.count();
  last_wave_lanes_ = shards - (shards - 1) / options_.lanes * options_.lanes;
  if (trains_in_lock_step(options_)) {
    last_wave_lanes_ = std::min(shards, options_.lanes);
    meeting_ = std::make_unique<ShardMeeting>(main_, options_.shards, *options_.communicator);
  }
  compute_times_.resize(static_cast<std::size_t>(options_.communicator->size()));
}

void CpuExecutable::evaluate(const Batch& batch, std::span<float> losses, std::span<std::int32_t> ranks,
                             bool averaged) {
  const Plan& plan = *evaluation_.plan;
  if (averaged) {
    gather_averages();
    std::swap_ranges(store_.state(), store_.state() + main_.state_elements, store_.average());
  }
  const Weights wanted = averaged ? Weights::averaged : Weights::current;
  const bool is_prepared = evaluated_weights_ == wanted;
  evaluated_weights_ = wanted;
  pool_.run([&](int lane) {
    if (!is_prepared) run_prologue(evaluation_, lane);
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
      note_progress();
      std::copy_n(shard_losses, program.rows(), losses.begin() + first);
      std::copy_n(shard_ranks, program.rows(), ranks.begin() + first);
    }
  });
  if (averaged) std::swap_ranges(store_.state(), store_.state() + main_.state_elements, store_.average());
}

/// Each rank averages what it updates; once after a step is enough.
void CpuExecutable::gather_averages() {
  if (reduction_ == nullptr || !options_.optimizer.shard || averages_are_whole_) return;
  for (const Bucket& bucket : buckets_) reduction_->submit_gather(store_.average(), bucket.reduce);
  reduction_->wait_all();
  averages_are_whole_ = true;
}

/// Rank 0 takes the other ranks' slots straight into its copy.
void CpuExecutable::capture(StateSnapshot* snapshot) {
  if (options_.optimizer.ema.enabled()) gather_averages();
  if (snapshot != nullptr) store_.capture(*snapshot);
  if (reduction_ == nullptr || !options_.optimizer.shard || options_.communicator->size() == 1) return;
  std::vector<SendPart> sends;
  std::vector<ReceivePart> receives;
  const auto bytes = [](ArenaRange range) { return static_cast<std::size_t>(range.elements()) * sizeof(float); };
  for (std::size_t slot = 0; slot < store_.slots().size(); ++slot) {
    for (const Bucket& bucket : buckets_) {
      if (snapshot == nullptr) {
        sends.push_back({0, store_.slots()[slot].floats() + bucket.owned.begin, bytes(bucket.owned)});
        continue;
      }
      for (int rank = 1; rank < options_.communicator->size(); ++rank) {
        const ArenaRange theirs = reduction_->owned_by(bucket.reduce, rank);
        receives.push_back({rank, store_.slot_of(*snapshot, slot) + theirs.begin, bytes(theirs)});
      }
    }
  }
  options_.communicator->exchange(sends, receives, "optimizer state");
}

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
  const int under_way = shards_under_way(options);
  if (trains_in_lock_step(options)) {
    memory.activations += main.lane_bytes * static_cast<std::size_t>(under_way - options.lanes) +
                          ShardMeeting::memory_bytes(main, options.communicator->size());
  }
  if (options.training != nullptr) {
    const auto ranks = static_cast<std::size_t>(options.communicator->size());
    const std::size_t kept =
        options.optimizer.shard ? (main.parameter_elements + ranks - 1) / ranks : main.parameter_elements;
    memory.optimizer = options.optimizer.slots.size() * kept * sizeof(float);
    if (options.optimizer.ema.enabled()) memory.optimizer += memory.state;
    memory.gradients = static_cast<std::size_t>(make_tree_schedule(main.shards, options.shards, under_way).buffers) *
                       main.output_elements * sizeof(float);
    memory.gradients += static_cast<std::size_t>(GradientReduction::scratch_elements(main, *options.communicator,
                                                                                     reduction_options(options))) *
                        sizeof(float);
  }
  return memory;
}

std::unique_ptr<Executable> make_executable(const ExecutableOptions& options) {
  return std::make_unique<CpuExecutable>(options);
}

}  // namespace athanor::cpu
