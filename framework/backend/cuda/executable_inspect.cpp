// What looks at single nodes of a step: the search for the first number that is not finite, and the profile.
#include "backend/cuda/cuda_executable.h"
#include "base/error.h"
#include "graph/op.h"

namespace athanor::cuda {
namespace {

/// Runs of a node in one replay: what the host takes to launch a short kernel must not be what is timed.
constexpr int kRunsTimed = 8;

bool is_float(DType type) {
  return type == DType::f32 || type == DType::bf16 || type == DType::f16;
}

}  // namespace

/// Whether an output of a node of the training plan, in a shard's copy of its arenas, is not finite.
bool CudaExecutable::holds_non_finite(NodeId id, int copy) {
  const Plan& plan = *training_.plan;
  if (flag_.data() == nullptr) flag_ = DeviceMemory(device_, MemoryKind::pinned, sizeof(std::int32_t));
  auto* const flag = flag_.as<std::int32_t>();
  for (const ValueId output : plan.graph.node(id).outputs) {
    const void* data = address_of(plan, arenas_of(training_, copy), output);
    if (data == nullptr || !is_float(plan.graph.value(output).dtype)) continue;
    const Value& value = plan.graph.value(output);
    *flag = 1;
    launch(
        device_,
        kernels::cuda::IsFinite{.dtype = value.dtype,
                                .values = data,
                                .count = stored_elements(value, plan.buffers[static_cast<std::size_t>(output)].layout),
                                .is_finite = flag},
        Stream::compute);
    device_.synchronize();
    if (*flag == 0) return true;
  }
  return false;
}

std::optional<BadValue> CudaExecutable::find_non_finite(const Batch& batch) {
  device_.synchronize();
  training_.inputs->upload(batch, 0);
  for (const BoundStep& step : training_.prologue) step.run(Stream::compute);
  const auto& shards = training_.shards[0];
  const auto is_bad = [&](std::size_t shard, std::size_t at) -> std::optional<BadValue> {
    const BoundStep& step = shards[shard][at];
    step.run(Stream::compute);
    if (!holds_non_finite(step.node, lock_step_ ? static_cast<int>(shard) : 0)) return std::nullopt;
    const Node& node = training_.plan->graph.node(step.node);
    return BadValue{node.layer, node.op->name, options_.shards.first + static_cast<std::int64_t>(shard)};
  };
  const std::size_t steps = shards.front().size();
  if (lock_step_) {
    for (std::size_t at = 0; at < steps; ++at) {
      for (std::size_t shard = 0; shard < shards.size(); ++shard) {
        if (const auto bad = is_bad(shard, at)) return bad;
      }
      const Node& node = main_.graph.node(shards.front()[at].node);
      if (node.op->synchronizes) meet(node);
    }
    return std::nullopt;
  }
  for (std::size_t shard = 0; shard < shards.size(); ++shard) {
    for (std::size_t at = 0; at < steps; ++at) {
      if (const auto bad = is_bad(shard, at)) return bad;
    }
  }
  return std::nullopt;
}

std::vector<NodeTime> CudaExecutable::profile(const Batch& batch, int repeats) {
  const Pass& pass = training_.plan != nullptr ? training_ : evaluation_;
  const std::vector<BoundStep>& steps = pass.shards[0].front();
  device_.synchronize();
  pass.inputs->upload(batch, 0);
  for (const BoundStep& step : pass.prologue) step.run(Stream::compute);
  std::array<DeviceEvent, 2> marks{DeviceEvent(device_, true), DeviceEvent(device_, true)};
  std::vector<CapturedGraph> graphs;
  std::vector<NodeTime> times;
  for (const BoundStep& step : steps) {
    const Node& node = pass.plan->graph.node(step.node);
    times.push_back({node.layer, node.op->name, pass.plan->shard[static_cast<std::size_t>(step.planned)].implementation,
                     0, node.op->flops ? node.op->flops(pass.plan->graph, node) : 0});
  }
  for (std::size_t i = 0; i < steps.size(); ++i) {
    device_.begin_capture(Stream::compute);
    for (int run = 0; run < kRunsTimed; ++run) steps[i].run(Stream::compute);
    graphs.emplace_back(device_, device_.end_capture(Stream::compute));
  }
  for (int repeat = 0; repeat < repeats; ++repeat) {
    for (std::size_t i = 0; i < steps.size(); ++i) {
      device_.record(marks[0].get(), Stream::compute);
      device_.launch(graphs[i].get(), Stream::compute);
      device_.record(marks[1].get(), Stream::compute);
      device_.synchronize();
      times[i].seconds += device_.seconds_between(marks[0].get(), marks[1].get()) / (repeats * kRunsTimed);
    }
  }
  return times;
}

}  // namespace athanor::cuda
