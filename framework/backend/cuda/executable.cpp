#include "backend/cuda/executable.h"

#include <algorithm>
#include <cstring>

#include "backend/cuda/cuda_executable.h"
#include "base/error.h"
#include "graph/op.h"
#include "kernels/reduce.h"

namespace athanor::cuda {
namespace {

const Plan& main_plan(const ExecutableOptions& options) {
  return options.training != nullptr ? *options.training : *options.evaluation;
}

bool meets(const ExecutableOptions& options) {
  return options.training != nullptr && options.training->has_meetings();
}

/// Shards whose activations are held at once.
int copies_of(const ExecutableOptions& options) {
  return meets(options) ? options.shards.count() : 1;
}

std::size_t lane_bytes(const ExecutableOptions& options) {
  std::size_t bytes = 0;
  for (const Plan* plan : {options.training, options.evaluation}) {
    if (plan != nullptr) bytes = std::max(bytes, plan->lane_bytes);
  }
  return bytes;
}

void refuse_what_is_missing(const ExecutableOptions& options) {
  if (options.training == nullptr || options.communicator->size() == 1) return;
  if (options.optimizer.shard)
    throw DeviceError("optimizer.shard is not there for several GPUs yet; use optimizer.shard=false");
  if (meets(options))
    throw DeviceError("synchronised batch norm is not there for several GPUs yet; use one GPU, or device=cpu");
}

DeviceReductionOptions reduction_options(const ExecutableOptions& options) {
  return {.mode = options.reduction, .wire = options.wire};
}

}  // namespace

MemoryPlan plan_memory(const ExecutableOptions& options) {
  const Plan& main = main_plan(options);
  MemoryPlan memory;
  memory.state = StateStore::state_bytes(main);
  memory.optimizer = StateStore::optimizer_bytes(main, options.optimizer);
  memory.activations = lane_bytes(options) * static_cast<std::size_t>(copies_of(options));
  for (const Plan* plan : {options.training, options.evaluation}) {
    if (plan == nullptr) continue;
    memory.shared += plan->shared_bytes;
    if (const auto type = parameter_cast(*plan); plan == options.training && type)
      memory.shared += plan->parameter_elements * size_of(*type);
    memory.activations += InputBuffers::bytes(*plan, options.shards.count(), sizeof(kernels::cuda::StepControl));
  }
  if (options.training == nullptr) return memory;
  const TreeSchedule schedule = make_tree_schedule(main.shards, options.shards, copies_of(options));
  memory.gradients = static_cast<std::size_t>(schedule.buffers) * main.output_elements * sizeof(float);
  // Ranks that share a device need less of it.
  const ReductionKind kind = options.communicator->size() == 1 ? ReductionKind::alone : ReductionKind::group;
  memory.gradients += reduction_bytes(kind, main, *options.communicator, reduction_options(options));
  return memory;
}

CudaExecutable::CudaExecutable(const ExecutableOptions& options, Device& device, EngineChoice& engines)
    : options_(options),
      device_(device),
      engines_(engines),
      main_(main_plan(options)),
      lock_step_(meets(options)),
      scales_loss_(options.precision == "fp16"),
      memory_(plan_memory(options)),
      schedule_(make_tree_schedule(main_.shards, options.shards, copies_of(options))),
      store_(device, main_, options.optimizer),
      compute_times_(static_cast<std::size_t>(options.communicator->size())) {
  refuse_what_is_missing(options);
  allocate();
  bind_pass(training_, options.training, sizeof(kernels::cuda::StepControl));
  bind_pass(evaluation_, options.evaluation, 0);
  if (options.training != nullptr) bind_update();
  device_.synchronize();
}

CudaExecutable::~CudaExecutable() {
  try {
    device_.synchronize();
  } catch (const Error&) {
    // What was under way failed: whoever waited for it was told.
  }
  // It lets go of the arenas that it sums before they are freed.
  reduction_.reset();
}

void CudaExecutable::allocate() {
  for (int copy = 0; copy < copies_of(options_); ++copy) {
    lanes_.emplace_back(device_, MemoryKind::device, lane_bytes(options_));
  }
  if (options_.training == nullptr) return;
  const ReductionKind kind = reduction_kind(device_, *options_.communicator);
  for (int buffer = 0; buffer < schedule_.buffers; ++buffer) {
    outputs_.emplace_back(device_, kind == ReductionKind::group ? MemoryKind::communication : MemoryKind::device,
                          main_.output_elements * sizeof(float));
    // The gaps between parameters are updated with them and stay zero.
    device_.fill_zero(outputs_.back().data(), outputs_.back().bytes(), Stream::compute);
  }
  reduction_ = make_device_reduction(kind, device_, *options_.communicator, main_, reduction_options(options_));
  std::vector<float*> pieces;
  for (const Piece& piece : schedule_.pieces) {
    pieces.push_back(outputs_[static_cast<std::size_t>(piece.buffer)].as<float>());
  }
  reduction_->bind(std::move(pieces));
}

Arenas CudaExecutable::arenas_of(const Pass& pass, int copy) const {
  const auto index = static_cast<std::size_t>(copy);
  return {.state = reinterpret_cast<std::byte*>(store_.state()),
          .outputs = outputs_.empty() ? nullptr : outputs_[index].data(),
          .shared = pass.shared.data(),
          .lane = lanes_[index].data()};
}

void CudaExecutable::bind_pass(Pass& pass, const Plan* plan, std::size_t extra_bytes) {
  if (plan == nullptr) return;
  pass.plan = plan;
  pass.inputs = std::make_unique<InputBuffers>(device_, *plan, options_.shards.count(), extra_bytes);
  pass.shared = DeviceMemory(device_, MemoryKind::device, plan->shared_bytes);
  if (step_memory_.data() == nullptr) {
    step_memory_ = DeviceMemory(device_, MemoryKind::device, sizeof(kernels::cuda::StepMemory));
    device_.fill_zero(step_memory_.data(), step_memory_.bytes(), Stream::compute);
  }
  const bool is_training = plan == options_.training;
  BindContext context{
      .device = device_,
      .engines = engines_,
      .precision = {.tf32 = options_.precision == "tf32", .deterministic = options_.deterministic},
      .seed = options_.seed,
      .loss_scale = is_training && scales_loss_ ? &step_memory_.as<kernels::cuda::StepMemory>()->loss_scale : nullptr};
  if (const auto type = parameter_cast(*plan); is_training && type) {
    cast_parameters_ = DeviceMemory(device_, MemoryKind::device, plan->parameter_elements * size_of(*type));
    context.cast_parameters = cast_parameters_.data();
  }
  pass.prologue = bind_prologue(*plan, arenas_of(pass, 0), context);
  for (int slot = 0; slot < kSlots; ++slot) {
    for (int shard = 0; shard < options_.shards.count(); ++shard) {
      const InputAddress inputs = [&](ValueId input) { return pass.inputs->address(slot, shard, input); };
      const int copy = is_training && lock_step_ ? shard : 0;
      auto& shards = pass.shards[static_cast<std::size_t>(slot)];
      shards.push_back(bind_shard(*plan, arenas_of(pass, copy), inputs, context));
      if (is_training && options_.cuda_overlap && !lock_step_) order_beside(shards.back(), *plan);
    }
  }
  place_constants(pass);
}

void CudaExecutable::place_constants(const Pass& pass) {
  for (const ValueId id : pass.plan->graph.of_role(Role::constant)) {
    const std::vector<float>& numbers = pass.plan->graph.value(id).constant;
    const DeviceMemory staging(device_, MemoryKind::pinned, numbers.size() * sizeof(float));
    std::memcpy(staging.data(), numbers.data(), staging.bytes());
    device_.copy(address_of(*pass.plan, arenas_of(pass, 0), id), staging.data(), staging.bytes(), Stream::compute);
    device_.synchronize();
  }
}

void CudaExecutable::write_state(const StateEntry& entry, std::span<const float> values) {
  store_.write(entry, values);
  casts_are_stale_ = true;
}

/// The update keeps the casts; this makes them anew where somebody else wrote the parameters.
void CudaExecutable::refresh_casts() {
  if (cast_parameters_.data() == nullptr || !std::exchange(casts_are_stale_, false)) return;
  launch(device_,
         kernels::cuda::Cast{.from = DType::f32,
                             .to = *parameter_cast(*training_.plan),
                             .x = store_.state(),
                             .y = cast_parameters_.data(),
                             .count = static_cast<std::int64_t>(main_.parameter_elements)},
         Stream::compute);
}

void CudaExecutable::swap_averages() {
  launch(device_,
         kernels::cuda::Swap{.first = store_.state(),
                             .second = store_.average(),
                             .count = static_cast<std::int64_t>(main_.state_elements)},
         Stream::compute);
}

void CudaExecutable::evaluate(const Batch& batch, std::span<float> losses, std::span<std::int32_t> ranks,
                              bool averaged) {
  const Plan& plan = *evaluation_.plan;
  const std::int64_t rows = evaluation_.inputs->rows_of_shard();
  const auto shards = static_cast<std::size_t>(options_.shards.count());
  const std::size_t bytes = static_cast<std::size_t>(rows) * sizeof(float);
  if (pinned_results_.data() == nullptr)
    pinned_results_ = DeviceMemory(device_, MemoryKind::pinned, 2 * shards * bytes);
  if (averaged) swap_averages();
  evaluation_.inputs->upload(batch, 0);
  for (const BoundStep& step : evaluation_.prologue) step.run(Stream::compute);
  for (std::size_t shard = 0; shard < shards; ++shard) {
    for (const BoundStep& step : evaluation_.shards[0][shard]) step.run(Stream::compute);
    for (std::size_t output = 0; output < 2; ++output) {
      const void* from = address_of(plan, arenas_of(evaluation_, 0), plan.graph.outputs[output]);
      device_.copy(pinned_results_.data() + (output * shards + shard) * bytes, from, bytes, Stream::compute);
    }
  }
  if (averaged) swap_averages();
  device_.synchronize();
  std::memcpy(losses.data(), pinned_results_.data(), shards * bytes);
  std::memcpy(ranks.data(), pinned_results_.data() + shards * bytes, shards * bytes);
}

void CudaExecutable::capture(StateSnapshot* snapshot) {
  if (snapshot != nullptr) store_.capture(*snapshot);
}

std::unique_ptr<Executable> make_executable(const ExecutableOptions& options, Device& device, EngineChoice& engines) {
  return std::make_unique<CudaExecutable>(options, device, engines);
}

}  // namespace athanor::cuda
