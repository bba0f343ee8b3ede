#include "backend/cuda/bound_pass.h"

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
      if (run) bound.push_back({std::move(run), steps[at].node, static_cast<std::int32_t>(at)});
    }
    return bound;
  }

 private:
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
    const bool is_shared =
        !outputs.empty() && plan_.buffers[static_cast<std::size_t>(node.outputs[0])].arena == Arena::shared;
    std::byte* scratch = (is_shared ? arenas_.shared : arenas_.lane) + step.scratch_offset;
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

}  // namespace athanor::cuda
