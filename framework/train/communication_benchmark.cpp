#include "train/communication_benchmark.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <vector>

#include "comm/silent_communicator.h"
#include "train/core_share.h"
#include "train/session.h"
#include "train/synthetic.h"
#include "train/units_text.h"

namespace athanor {
namespace {

double median_of(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

/// One way of reducing, with an executable of its own.
class Contender {
 public:
  Contender(const Recipe& recipe, const Sizing& sizing, const Plans& plans, Communicator& communicator,
            ReductionMode mode) {
    ExecutableOptions options = executable_options(recipe, sizing, plans, communicator);
    options.evaluation = nullptr;
    options.reduction = mode;
    executable_ = backend_for(recipe.device).make_executable(options);
    initialize_state(*executable_, plans.training, recipe.train.seed);
  }

  /// A rate so small that random labels never make the numbers run away.
  StepResult step(const Batch& batch) {
    const auto known = executable_->step(batch, {.step = ++steps_, .lr = 1e-6, .momentum = 0.9, .grad_scale = 1});
    return known ? *known : executable_->await_result().value();
  }

 private:
  std::unique_ptr<Executable> executable_;
  std::int64_t steps_ = 0;
};

struct Times {
  std::vector<double> tree, library, silent, exposed;
};

/// Seconds of `count` steps, of the slowest rank, for one.
double time_steps(Contender& contender, const Batch& batch, int count, Communicator& communicator,
                  std::vector<double>* exposed) {
  using Clock = std::chrono::steady_clock;
  communicator.barrier("bench communication");
  const Clock::time_point start = Clock::now();
  for (int step = 0; step < count; ++step) {
    const StepResult result = contender.step(batch);
    if (exposed != nullptr) exposed->push_back(result.comm_exposed_s);
  }
  double seconds = std::chrono::duration<double>(Clock::now() - start).count() / count;
  communicator.all_reduce(&seconds, 1, DType::f64, ReduceOp::max, "bench communication");
  return seconds;
}

}  // namespace

CommunicationBenchmark benchmark_communication(Recipe recipe, Communicator& communicator, double seconds, int threads) {
  constexpr int kFewestRounds = 5;
  const DatasetInfo info = described_data(recipe);
  Hardware hardware = probe_hardware();
  share_cores(hardware, communicator);
  if (threads > 0) hardware.cores = hardware.first_rank_cores = threads;
  const Sizing sizing = size_run(recipe, std::max<std::int64_t>(1, info.train_size), hardware, communicator);
  const Plans plans = make_plans(recipe, model_of(recipe), info, sizing);
  BatchStorage storage(recipe.train.batch / sizing.shards * sizing.local.count(), info, host_batch_memory());
  fill_synthetic(storage.batch(), info, augmentations_from(recipe.data.augment));
  const std::unique_ptr<Communicator> silence = make_silent_communicator(communicator);
  Contender tree(recipe, sizing, plans, communicator, ReductionMode::tree);
  Contender library(recipe, sizing, plans, communicator, ReductionMode::library);
  Contender silent(recipe, sizing, plans, *silence, ReductionMode::tree);

  const Batch& batch = storage.batch();
  for (Contender* contender : {&tree, &library, &silent}) time_steps(*contender, batch, 2, communicator, nullptr);
  const double once_s = time_steps(tree, batch, 1, communicator, nullptr);
  const int steps = std::max(1, static_cast<int>(0.1 / once_s));
  const int rounds = std::max(kFewestRounds, static_cast<int>(seconds / (3 * steps * once_s)));
  Times times;
  std::vector<double> communication, bit_equality;
  for (int round = 0; round < rounds; ++round) {
    // The order turns round, so that what one leaves in the caches favours nobody.
    const auto one = [&](int which) {
      if (which == 0) times.tree.push_back(time_steps(tree, batch, steps, communicator, &times.exposed));
      if (which == 1) times.library.push_back(time_steps(library, batch, steps, communicator, nullptr));
      if (which == 2) times.silent.push_back(time_steps(silent, batch, steps, communicator, nullptr));
    };
    for (int i = 0; i < 3; ++i) one((round + i) % 3);
    communication.push_back(times.tree.back() / times.silent.back() - 1);
    bit_equality.push_back(times.tree.back() / times.library.back() - 1);
  }
  const double tree_s = median_of(times.tree);
  return {.recipe = recipe.name,
          .ranks = communicator.size(),
          .batch = recipe.train.batch,
          .shards = sizing.shards,
          .shard_threads = sizing.shard_threads,
          .lanes = sizing.lanes,
          .rounds = rounds,
          .tree_s = tree_s,
          .library_s = median_of(times.library),
          .silent_s = median_of(times.silent),
          .images_per_s = static_cast<double>(recipe.train.batch) / tree_s,
          .communication = median_of(communication),
          .bit_equality = median_of(bit_equality),
          .exposed_s = median_of(times.exposed),
          .bytes = tree.step(batch).comm_bytes};
}

std::string to_json(const CommunicationBenchmark& benchmark) {
  return nlohmann::ordered_json{{"recipe", benchmark.recipe},
                                {"ranks", benchmark.ranks},
                                {"batch", benchmark.batch},
                                {"shards", benchmark.shards},
                                {"shard_threads", benchmark.shard_threads},
                                {"lanes", benchmark.lanes},
                                {"rounds", benchmark.rounds},
                                {"images_per_s", benchmark.images_per_s},
                                {"tree_ms", benchmark.tree_s * 1e3},
                                {"library_ms", benchmark.library_s * 1e3},
                                {"silent_ms", benchmark.silent_s * 1e3},
                                {"communication", benchmark.communication},
                                {"bit_equality", benchmark.bit_equality},
                                {"exposed_ms", benchmark.exposed_s * 1e3},
                                {"bytes", benchmark.bytes}}
      .dump();
}

std::string to_text(const CommunicationBenchmark& benchmark) {
  return fmt::format(
      "{}: {}, batch {} in {} shards, {} of {} thread(s) side by side on rank 0; medians of {} rounds in turns\n"
      "  step, ordered sums (tree)    {:9.2f} ms  {:.1f} images/s\n"
      "  step, library's sums (fast)  {:9.2f} ms\n"
      "  step, nothing sent           {:9.2f} ms\n"
      "  communication costs          {:+9.2f} % of the step (median of the rounds' ratios)\n"
      "  equal bits cost              {:+9.2f} % of the step\n"
      "  the step waited              {:9.3f} ms for other ranks; rank 0 sent {}\n",
      benchmark.recipe, plural(benchmark.ranks, "rank"), benchmark.batch, benchmark.shards, benchmark.lanes,
      benchmark.shard_threads, benchmark.rounds, benchmark.tree_s * 1e3, benchmark.images_per_s,
      benchmark.library_s * 1e3, benchmark.silent_s * 1e3, benchmark.communication * 100, benchmark.bit_equality * 100,
      benchmark.exposed_s * 1e3, bytes_text(static_cast<std::size_t>(benchmark.bytes)));
}

}  // namespace athanor
