// What looks at single nodes of a step: the search for the first number that is not finite, and the profile.
#include <algorithm>
#include <chrono>
#include <cmath>

#include "backend/cpu/cpu_executable.h"
#include "backend/cpu/ops/support.h"
#include "graph/op.h"
#include "kernels/reduce.h"

namespace athanor::cpu {
namespace {

using Clock = std::chrono::steady_clock;

/// Whether a value of a shard holds no infinity and no NaN. Values of other types count as finite.
bool holds_finite(const Value& value, const Layout& layout, const void* data) {
  const std::int64_t count = stored_elements(value, layout);
  if (value.dtype == DType::f32) return kernels::reduce_kernels().is_finite(static_cast<const float*>(data), count, 1);
  if (value.dtype != DType::bf16) return true;
  const auto* elements = static_cast<const BFloat16*>(data);
  return std::all_of(elements, elements + count, [](BFloat16 x) { return std::isfinite(static_cast<float>(x)); });
}

}  // namespace

/// Whether an output of a node of the training plan, in a shard's copy of its arenas, is not finite.
bool CpuExecutable::holds_non_finite(int copy, NodeId id) const {
  const Plan& plan = *training_.plan;
  const std::vector<ValueId>& outputs = plan.graph.node(id).outputs;
  return std::any_of(outputs.begin(), outputs.end(), [&](ValueId output) {
    const void* data = address_of(plan, arenas_of(training_, copy), output);
    return data != nullptr &&
           !holds_finite(plan.graph.value(output), plan.buffers[static_cast<std::size_t>(output)].layout, data);
  });
}

std::optional<BadValue> CpuExecutable::find_non_finite(const Batch& batch) {
  if (meeting_ != nullptr) return find_non_finite_in_lock_step(batch);
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
        if (!holds_non_finite(0, program.nodes()[i])) continue;
        const Node& node = training_.plan->graph.node(program.nodes()[i]);
        found = BadValue{node.layer, node.op->name, options_.shards.first + shard};
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

}  // namespace athanor::cpu
