#include "backend/cuda/bound_pass.h"

#include <algorithm>

#include "base/error.h"
#include "graph/op.h"

namespace athanor::cuda {
namespace {

class Binder {
 public:
  Binder(const Plan& plan, const Arenas& arenas, const InputAddress* inputs, const BindContext& context)
      : plan_(plan), arenas_(arenas), inputs_(inputs), context_(context) {}

  std::vector<BoundStep> bind(const std::vector<PlannedStep>& steps) const {
    std::vector<BoundStep> bound;
    for (std::size_t at = 0; at < steps.size(); ++at) {
      const Node& node = plan_.graph.node(steps[at].node);
      if (node.op->is_view) continue;
      Step run = bind(steps[at], node);
      if (!run) continue;
      bound.push_back({std::move(run), steps[at].node, static_cast<std::int32_t>(at)});
      for (const ValueId input : node.inputs) add_range(bound.back().reads, address(input), bytes_of(input));
      for (const ValueId output : node.outputs) add_range(bound.back().writes, address(output), bytes_of(output));
      add_range(bound.back().writes, scratch_of(steps[at], node), steps[at].scratch_bytes);
    }
    return bound;
  }

 private:
  std::size_t bytes_of(ValueId value) const {
    if (value == kNoValue) return 0;
    // Inputs lie outside the arenas, where nothing is written.
    return plan_.graph.value(value).role == Role::input ? 0 : plan_.buffers[static_cast<std::size_t>(value)].bytes;
  }
  static void add_range(std::vector<MemoryRange>& ranges, void* begin, std::size_t bytes) {
    if (bytes > 0) ranges.push_back({static_cast<std::byte*>(begin), static_cast<std::byte*>(begin) + bytes});
  }
  std::byte* scratch_of(const PlannedStep& step, const Node& node) const {
    const bool is_shared =
        !node.outputs.empty() && plan_.buffers[static_cast<std::size_t>(node.outputs[0])].arena == Arena::shared;
    return (is_shared ? arenas_.shared : arenas_.lane) + step.scratch_offset;
  }
  void* address(ValueId value) const {
    if (value == kNoValue) return nullptr;
    if (inputs_ != nullptr && plan_.graph.value(value).role == Role::input) return (*inputs_)(value);
    return address_of(plan_, arenas_, value);
  }

  Step bind(const PlannedStep& step, const Node& node) const {
    const CudaOp* op = find_cuda_op(node.op->name);
    ATHANOR_CHECK(op != nullptr, "no CUDA op '{}'", node.op->name);
    std::vector<void*> inputs, outputs;
    std::vector<Layout> input_layouts, output_layouts;
    const auto collect = [&](const std::vector<ValueId>& values, std::vector<void*>& pointers,
                             std::vector<Layout>& layouts) {
      for (const ValueId value : values) {
        pointers.push_back(address(value));
        layouts.push_back(value == kNoValue ? Layout{} : plan_.buffers[static_cast<std::size_t>(value)].layout);
      }
    };
    collect(node.inputs, inputs, input_layouts);
    collect(node.outputs, outputs, output_layouts);
    std::byte* const scratch = scratch_of(step, node);
    return op->prepare({{plan_.graph, node, inputs, outputs, input_layouts, output_layouts,
                         step.scratch_bytes == 0 ? nullptr : scratch, plan_.shard_threads, context_.seed,
                         step.implementation, step.algorithm},
                        context_.device,
                        context_.engines,
                        context_.precision,
                        context_.loss_scale});
  }

  const Plan& plan_;
  const Arenas& arenas_;
  const InputAddress* inputs_;
  const BindContext& context_;
};

}  // namespace

std::vector<BoundStep> bind_prologue(const Plan& plan, const Arenas& arenas, const BindContext& context) {
  return Binder(plan, arenas, nullptr, context).bind(plan.prologue);
}

std::vector<BoundStep> bind_shard(const Plan& plan, const Arenas& arenas, const InputAddress& inputs,
                                  const BindContext& context) {
  return Binder(plan, arenas, &inputs, context).bind(plan.shard);
}

namespace {

bool meet(const std::vector<MemoryRange>& one, const std::vector<MemoryRange>& other) {
  return std::any_of(one.begin(), one.end(), [&](const MemoryRange& range) {
    return std::any_of(other.begin(), other.end(), [&](const MemoryRange& with) { return range.meets(with); });
  });
}

/// Whether a step must wait for one before it.
bool disturbs(const BoundStep& step, const BoundStep& before) {
  return meet(step.writes, before.reads) || meet(step.writes, before.writes) || meet(step.reads, before.writes);
}

}  // namespace

void order_beside(std::vector<BoundStep>& steps, const Plan& plan) {
  std::vector<std::int32_t> under_way;  // beside, that compute has not waited for
  for (std::size_t at = 0; at < steps.size(); ++at) {
    BoundStep& step = steps[at];
    step.beside = plan.shard[static_cast<std::size_t>(step.planned)].beside;
    if (step.beside) {
      under_way.push_back(static_cast<std::int32_t>(at));
      continue;
    }
    // They end in their order, so that waiting for one is waiting for those before it.
    const auto last = std::find_if(under_way.rbegin(), under_way.rend(), [&](std::int32_t before) {
      return disturbs(step, steps[static_cast<std::size_t>(before)]);
    });
    if (last == under_way.rend()) continue;
    step.awaits = *last;
    under_way.erase(under_way.begin(), last.base());
  }
}

}  // namespace athanor::cuda
