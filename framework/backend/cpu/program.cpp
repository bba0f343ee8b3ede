#include "backend/cpu/program.h"

#include <cstring>
#include <string_view>

#include "backend/cpu/onednn.h"
#include "base/error.h"
#include "graph/op.h"

namespace athanor::cpu {

void place_constants(const Plan& plan, const Arenas& arenas) {
  for (const ValueId id : plan.graph.of_role(Role::constant)) {
    const Value& value = plan.graph.value(id);
    std::memcpy(address_of(plan, arenas, id), value.constant.data(), value.constant.size() * sizeof(float));
  }
}

Step bind_node(const Plan& plan, const PlannedStep& step, const Arenas& arenas, std::uint64_t seed) {
  const Node& node = plan.graph.node(step.node);
  if (node.op->is_view) return {};
  const CpuOp* op = find_cpu_op(node.op->name);
  ATHANOR_CHECK(op != nullptr, "no CPU op '{}'", node.op->name);
  std::vector<void*> inputs, outputs;
  std::vector<Layout> input_layouts, output_layouts;
  const auto collect = [&](const std::vector<ValueId>& values, std::vector<void*>& pointers,
                           std::vector<Layout>& layouts) {
    for (const ValueId value : values) {
      pointers.push_back(address_of(plan, arenas, value));
      layouts.push_back(value == kNoValue ? Layout{} : plan.buffers[static_cast<std::size_t>(value)].layout);
    }
  };
  collect(node.inputs, inputs, input_layouts);
  collect(node.outputs, outputs, output_layouts);
  const bool is_shared =
      !outputs.empty() && plan.buffers[static_cast<std::size_t>(node.outputs[0])].arena == Arena::shared;
  std::byte* scratch = (is_shared ? arenas.shared : arenas.lane) + step.scratch_offset;
  const TeamSize team(plan.shard_threads);
  return op->prepare({plan.graph, node, inputs, outputs, input_layouts, output_layouts,
                      step.scratch_bytes == 0 ? nullptr : scratch, plan.shard_threads, seed, step.implementation,
                      step.algorithm});
}

ShardProgram::ShardProgram(const Plan& plan, const Arenas& arenas, std::uint64_t seed) {
  for (std::size_t at = 0; at < plan.shard.size(); ++at) {
    Step step = bind_node(plan, plan.shard[at], arenas, seed);
    if (!step) continue;
    const Node& node = plan.graph.node(plan.shard[at].node);
    if (node.op->synchronizes) {
      meetings_.push_back({steps_.size(), static_cast<const std::byte*>(address_of(plan, arenas, node.inputs[0])),
                           static_cast<std::byte*>(address_of(plan, arenas, node.outputs[0])),
                           BackendPlanner::dense_bytes(plan.graph.value(node.inputs[0]))});
    }
    steps_.push_back(std::move(step));
    nodes_.push_back(plan.shard[at].node);
    plan_steps_.push_back(static_cast<std::int32_t>(at));
  }
  for (const ValueId id : plan.graph.of_role(Role::input)) {
    const Value& value = plan.graph.value(id);
    auto* target = static_cast<std::byte*>(address_of(plan, arenas, id));
    if (value.name == "epoch") {
      epoch_ = reinterpret_cast<std::int64_t*>(target);
      continue;
    }
    rows_ = value.shape[0];
    const std::size_t row_bytes = BackendPlanner::dense_bytes(value) / static_cast<std::size_t>(rows_);
    if (value.name == "images") images_ = {target, row_bytes};
    if (value.name == "labels") labels_ = {target, row_bytes};
    if (value.name == "sample_indices") sample_indices_ = {target, row_bytes};
    if (value.name == "transforms") transforms_ = {target, row_bytes};
  }
}

void ShardProgram::load(const Batch& batch, std::int64_t first_row) {
  const auto copy = [&](const Input& input, const auto& source) {
    if (input.target == nullptr) return;
    ATHANOR_CHECK(source.size_bytes() >= static_cast<std::size_t>(first_row + rows_) * input.row_bytes,
                  "a batch of other images than the plan's");
    const auto* bytes = reinterpret_cast<const std::byte*>(source.data());
    std::memcpy(input.target, bytes + static_cast<std::size_t>(first_row) * input.row_bytes,
                static_cast<std::size_t>(rows_) * input.row_bytes);
  };
  copy(images_, batch.images);
  copy(labels_, batch.labels);
  copy(sample_indices_, batch.sample_indices);
  copy(transforms_, batch.transforms);
  if (epoch_ != nullptr) *epoch_ = batch.epoch;
}

std::vector<std::vector<Step>> bind_prologue(const Plan& plan, const Arenas& arenas, int lanes, std::uint64_t seed) {
  std::vector<std::vector<Step>> parts(static_cast<std::size_t>(lanes));
  std::vector<int> lane_of(plan.graph.values.size(), -1);
  int next = 0;
  for (const PlannedStep& planned : plan.prologue) {
    const Node& node = plan.graph.node(planned.node);
    int lane = -1;
    for (const ValueId input : node.inputs) {
      const int made_on = input == kNoValue ? -1 : lane_of[static_cast<std::size_t>(input)];
      if (made_on < 0) continue;
      ATHANOR_CHECK(lane < 0 || lane == made_on, "layer {}: {} reads what two lanes make", node.layer, node.op->name);
      lane = made_on;
    }
    if (lane < 0) lane = next++ % lanes;
    for (const ValueId output : node.outputs) {
      if (output != kNoValue) lane_of[static_cast<std::size_t>(output)] = lane;
    }
    Step step = bind_node(plan, planned, arenas, seed);
    if (step) parts[static_cast<std::size_t>(lane)].push_back(std::move(step));
  }
  return parts;
}

}  // namespace athanor::cpu
