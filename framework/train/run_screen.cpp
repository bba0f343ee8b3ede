#include "train/run_screen.h"

#include "graph/op.h"

namespace athanor {

namespace {

/// What a 16-bit wire loses.
std::string wire_warning(const std::string& wire) {
  if (wire == "bf16") return "; comm.wire: bf16 rounds every sum between ranks to 8 bits";
  if (wire == "fp16") return "; comm.wire: fp16 rounds every sum between ranks to 11 bits; beyond 65,504 it overflows";
  return "";
}

}  // namespace

FlopsPerImage flops_per_image(const Plan& plan, std::int64_t rows) {
  FlopsPerImage flops;
  for (const Node& node : plan.graph.nodes) {
    if (!node.op->flops || plan.graph.is_copy(node)) continue;
    const double image = node.op->flops(plan.graph, node) / static_cast<double>(rows);
    flops.step += image;
    if (node.phase == Phase::forward) flops.forward += image;
  }
  return flops;
}

FirstScreen make_screen(const Recipe& recipe, const RunData& data, const Sizing& sizing, const Plans& plans,
                        const MemoryPlan& memory, const Hardware& hardware, const Communicator& communicator) {
  FirstScreen screen;
  screen.recipe = resolved_text(recipe);
  screen.hardware = hardware;
  screen.binding = binding_text();
  screen.backend = backend_for(recipe.device).name();
  screen.precision = recipe.train.precision;
  screen.data = fmt::format("{}: {} train, {} validation, {} test", recipe.data.set.name, data.train_size(),
                            data.validation_subset.size(), data.test->size());
  screen.world_size = communicator.size();
  screen.batch = recipe.train.batch;
  screen.shards = sizing.shards;
  screen.shard_threads = sizing.shard_threads;
  screen.lanes = sizing.lanes;
  screen.parameters = plans.training.graph.parameter_count();
  const FlopsPerImage flops = flops_per_image(plans.training, recipe.train.batch / sizing.shards);
  screen.forward_flops_per_image = static_cast<std::int64_t>(flops.forward);
  screen.train_flops_per_image = static_cast<std::int64_t>(flops.step);
  screen.steps_per_epoch = sizing.steps_per_epoch;
  screen.epochs = recipe.train.epochs;
  screen.total_steps = sizing.total_steps;
  screen.dropped_samples = data.train_size() % recipe.train.batch;
  screen.memory = memory;
  if (data.validation_subset.empty()) {
    screen.warnings.push_back(
        "data.validation is 0: the test split also chooses the best epoch, so its accuracy flatters");
  }
  if (recipe.train.reduction == "fast") {
    screen.warnings.push_back(
        communicator.size() == 1
            ? "train.reduction: fast has no effect on one rank"
            : "train.reduction: fast: another number of ranks gives other bits, and so may another run" +
                  wire_warning(recipe.comm.wire));
  }
  if (recipe.schedule.name == "reduce_on_plateau" && recipe.eval.every_epochs == 0) {
    screen.warnings.push_back("eval.every_epochs is 0: schedule reduce_on_plateau sees no evaluation and never acts");
  }
  return screen;
}

}  // namespace athanor
