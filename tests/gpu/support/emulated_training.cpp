#include "gpu/support/emulated_training.h"

#include "backend/cuda/engine_choice.h"
#include "backend/cuda/executable.h"
#include "backend/cuda/planner.h"
#include "gpu/support/thread_ranks.h"

namespace athanor::testing {
namespace {

DType compute_type(const std::string& precision) {
  return precision == "bf16" ? DType::bf16 : precision == "fp16" ? DType::f16 : DType::f32;
}

TrainingRig::Options options_of(const EmulatedRun& run) {
  TrainingRig::Options options;
  options.model.name = run.model;
  options.model.attributes = {{"depth", std::int64_t{run.depth}}, {"classes", std::int64_t{kParityClasses}}};
  options.optimizer = make_optimizer("sgd", {{"lr", 0.01}, {"momentum", 0.9}});
  options.batch = 8;
  options.shards = run.shards;
  options.precision = compute_type(run.precision);
  options.reduction = run.reduction;
  options.side = run.side;
  options.recomputed_work = run.recomputed_work;
  return options;
}

RunOutcome train(TrainingRig& rig, const EmulatedRun& run, int rank) {
  RunOutcome outcome;
  outcome.lane_bytes = rig.plan().lane_bytes;
  for (int step = 1; step <= run.steps; ++step) {
    rig.load(step);
    const RankReport report{.stop = rank == 0 && step == run.stop_at ? 1 : 0};
    std::optional<StepResult> result;
    const auto submit = [&] { result = rig.submit(step, report); };
    run.around_step ? run.around_step(step, submit) : submit();
    if (result) outcome.results.push_back(*result);
  }
  while (const auto result = rig.executable().await_result()) outcome.results.push_back(*result);
  outcome.state = rig.state();
  return outcome;
}

RunOutcome train_rank(const EmulatedRun& run, Communicator& communicator) {
  const int rank = communicator.rank();
  EmulatedDevice emulated({.seed = run.seed * 64 + static_cast<std::uint64_t>(rank),
                           .memory_bytes = std::size_t{256} << 20,
                           .ordinal = run.one_gpu ? 0 : rank,
                           .group_faults = run.group_faults});
  const std::unique_ptr<cuda::Device> wrapped = run.wrap ? run.wrap(emulated) : nullptr;
  cuda::Device& device = wrapped ? *wrapped : emulated;
  cuda::EngineChoice engines(device, "");
  cuda::CudaPlanner planner(engines, {});
  TrainingRig::Options options = options_of(run);
  options.communicator = &communicator;
  options.other = OtherBackend{
      .planner = &planner,
      .make_executable =
          [&](const ExecutableOptions& executable) { return cuda::make_executable(executable, device, engines); },
      .precision = run.precision,
      .cuda_graph = run.cuda_graph};
  RunOutcome outcome;
  {
    TrainingRig rig(options);
    outcome = train(rig, run, rank);
    emulated.check();
  }
  outcome.graph_launches = emulated.graph_launches();
  return outcome;
}

}  // namespace

std::vector<RunOutcome> train_emulated(const EmulatedRun& run) {
  std::vector<RunOutcome> outcomes(static_cast<std::size_t>(run.ranks));
  run_ranks(run.ranks, [&](Communicator& communicator) {
    outcomes[static_cast<std::size_t>(communicator.rank())] = train_rank(run, communicator);
  });
  return outcomes;
}

RunOutcome train_on_cpu(const EmulatedRun& run) {
  TrainingRig rig(options_of(run));
  return train(rig, run, 0);
}

}  // namespace athanor::testing
