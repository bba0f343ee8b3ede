#include "train/step_benchmark.h"

#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <map>

#include "backend/backend.h"
#include "graph/op.h"
#include "train/session.h"
#include "train/since_start.h"
#include "train/synthetic.h"

namespace athanor {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

double load_average() {
  double load = 0;
  return getloadavg(&load, 1) == 1 ? load : 0;
}

rusage process_usage() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage;
}

/// The step under measurement, of training or of evaluation, and its memory.
class Bench {
 public:
  Bench(Recipe& recipe, const StepBenchmarkOptions& options)
      : backend_(backend_for(recipe.device)),
        hardware_(hardware_for(options.threads)),
        communicator_(make_self_communicator()),
        info_(described_data(recipe)),
        sizing_(size_run(recipe, std::max<std::int64_t>(1, info_.train_size - recipe.data.validation), hardware_,
                         *communicator_)),
        model_(model_of(recipe)),
        plans_(make_plans(recipe, model_, info_, sizing_)),
        evaluates_(options.evaluation),
        storage_(images(recipe), info_, host_batch_memory()) {
    check_memory(recipe, model_, info_, sizing_, plans_, hardware_, *communicator_);
    ExecutableOptions wanted = executable_options(recipe, sizing_, plans_, *communicator_);
    (evaluates_ ? wanted.training : wanted.evaluation) = nullptr;
    wanted.resident_batch = true;
    if (evaluates_) {
      losses_.resize(static_cast<std::size_t>(images(recipe)));
      ranks_.resize(losses_.size());
    }
    executable_ = backend_.make_executable(wanted);
    initialize_state(*executable_, plan(), recipe.train.seed);
    fill_synthetic(storage_.batch(), info_, augmentations_from(recipe.data.augment));
  }

  const Backend& backend() const { return backend_; }
  const Hardware& hardware() const { return hardware_; }
  const Sizing& sizing() const { return sizing_; }
  const Plan& plan() const { return evaluates_ ? plans_.evaluation : plans_.training; }
  const Executable& executable() const { return *executable_; }
  /// Of one step.
  std::int64_t images(const Recipe& recipe) const { return evaluates_ ? sizing_.evaluation_rows : recipe.train.batch; }

  struct StepTime {
    double seconds = 0;
    bool waited = false;  ///< for a step to end; else the device runs behind and had room for one more
    double host_s = 0;    ///< StepResult::host_s
  };
  /// A rate so small that random labels never make the numbers run away, with the work of any other.
  StepTime step() {
    const Clock::time_point start = Clock::now();
    if (evaluates_) {
      executable_->evaluate(storage_.batch(), losses_, ranks_, false);
      return {seconds_since(start), true, 0};
    }
    const auto known =
        executable_->step(storage_.batch(), {.step = ++steps_, .lr = 1e-6, .momentum = 0.9, .grad_scale = 1});
    return {seconds_since(start), known.has_value(), known ? known->host_s : 0};
  }
  /// Until nothing is under way.
  void settle() {
    while (!evaluates_ && executable_->await_result()) {
    }
  }
  std::vector<NodeTime> profile() {
    settle();
    return executable_->profile(storage_.batch(), 1);
  }

 private:
  static Hardware hardware_for(int threads) {
    Hardware hardware = probe_hardware();
    if (threads < 0 || threads > hardware.allowed_cpus) {
      throw UsageError("--threads is {}, this process may use 1 to {} processors", threads, hardware.allowed_cpus);
    }
    if (threads > 0) hardware.allowed_cpus = threads;
    return hardware;
  }

  const Backend& backend_;
  Hardware hardware_;
  std::unique_ptr<Communicator> communicator_;
  DatasetInfo info_;
  Sizing sizing_;
  ModelSpec model_;
  Plans plans_;
  bool evaluates_;
  BatchStorage storage_;
  std::vector<float> losses_;  // of an evaluation
  std::vector<std::int32_t> ranks_;
  std::unique_ptr<Executable> executable_;
  std::int64_t steps_ = 0;
};

/// Seconds of every node, of every profile taken.
class Profile {
 public:
  void add(const std::vector<NodeTime>& times) {
    if (nodes_.empty()) {
      nodes_ = times;
      seconds_.resize(times.size());
    }
    for (std::size_t i = 0; i < times.size(); ++i) seconds_[i].push_back(times[i].seconds);
  }

  /// A step runs `waves` shards one after another on each lane. What the nodes do not account for is "other": input
  /// copies, the sums over shards, the optimizer, waiting for each other.
  std::vector<OpShare> shares(double step_s, std::int64_t waves, std::int64_t shards) const {
    std::map<std::string, OpShare> kinds;
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
      const NodeTime& node = nodes_[i];
      OpShare& kind = kinds[node.op];
      kind.op = node.op;
      ++kind.nodes;
      kind.seconds += spread_of(seconds_[i]).median * static_cast<double>(waves);
      kind.gflop_per_s += node.flops * static_cast<double>(shards) * 1e-9;
    }
    std::vector<OpShare> shares;
    double nodes_s = 0;
    for (auto& [name, kind] : kinds) {
      nodes_s += kind.seconds;
      kind.gflop_per_s = kind.seconds > 0 ? kind.gflop_per_s / kind.seconds : 0;
      shares.push_back(kind);
    }
    std::sort(shares.begin(), shares.end(), [](const OpShare& a, const OpShare& b) { return a.seconds > b.seconds; });
    shares.push_back({.op = "other", .seconds = std::max(0.0, step_s - nodes_s)});
    const double all_s = std::max(step_s, nodes_s);
    for (OpShare& share : shares) share.share = share.seconds / all_s;
    return shares;
  }

 private:
  std::vector<NodeTime> nodes_;
  std::vector<std::vector<double>> seconds_;  // per node
};

/// What is timed, in the order in which it was.
struct Times {
  std::vector<double> steps, host, ceilings;
  Profile profile;
  std::int64_t calls = 0;        // of step
  std::int64_t page_faults = 0;  // during them
};

/// Rounds of steps, products alone, profile, steps: each kind sees the same machine.
Times measure(Bench& bench, Ceiling* ceiling, double seconds, bool steps_only) {
  constexpr double kRoundSeconds = 1;
  const int rounds = static_cast<int>(std::ceil(std::max(seconds, kRoundSeconds) / kRoundSeconds));
  const double round_s = seconds / rounds;
  Times times;
  const auto repeat_for = [](double budget_s, const auto& work) {
    const Clock::time_point start = Clock::now();
    do {
      work();
    } while (seconds_since(start) < budget_s);
  };
  const auto take_step = [&] {
    const long faults = process_usage().ru_minflt;
    const Bench::StepTime time = bench.step();
    times.page_faults += process_usage().ru_minflt - faults;
    ++times.calls;
    if (!time.waited) return;
    times.steps.push_back(time.seconds);
    times.host.push_back(time.host_s);
  };
  if (steps_only) {
    repeat_for(seconds, take_step);
    bench.settle();
    return times;
  }
  for (int round = 0; round < rounds; ++round) {
    repeat_for(0.3 * round_s, take_step);
    bench.settle();
    if (ceiling != nullptr) repeat_for(0.3 * round_s, [&] { times.ceilings.push_back(ceiling->run()); });
    repeat_for(0.1 * round_s, [&] { times.profile.add(bench.profile()); });
    repeat_for(0.3 * round_s, take_step);
    bench.settle();
  }
  return times;
}

}  // namespace

Spread spread_of(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const auto at = [&](double part) {
    const double rank = std::ceil(part * static_cast<double>(values.size()));
    return values[static_cast<std::size_t>(std::max(1.0, rank)) - 1];
  };
  return {.p10 = at(0.1), .median = at(0.5), .p90 = at(0.9)};
}

StepBenchmark run_step_benchmark(Recipe recipe, const StepBenchmarkOptions& options) {
  constexpr int kWarmUpSteps = 3, kDeviceWarmUpSteps = 5;  // a device's third step is made a graph
  constexpr double kSearchShare = 0.25;                    // of the time, for finding the ceiling's implementations
  StepBenchmark result;
  result.load_before = load_average();
  Bench bench(recipe, options);
  result.start_s = seconds_since_start();
  const int warm_up = bench.backend().device_memory_bytes() ? kDeviceWarmUpSteps : kWarmUpSteps;
  for (int i = 0; i < warm_up; ++i) bench.step();
  bench.settle();
  result.peak_bytes = static_cast<std::size_t>(process_usage().ru_maxrss) * 1024;
  std::unique_ptr<Ceiling> ceiling;
  if (!options.steps_only)
    ceiling = bench.backend().make_ceiling(bench.plan(), bench.sizing().lanes, kSearchShare * options.seconds);
  if (ceiling != nullptr) ceiling->run();
  const double search_share = options.steps_only ? 0 : kSearchShare;
  const Times times = measure(bench, ceiling.get(), (1 - search_share) * options.seconds, options.steps_only);

  const Sizing& sizing = bench.sizing();
  result.recipe = recipe.name;
  result.evaluation = options.evaluation;
  result.cpu_model = bench.hardware().cpu_model;
  result.isa = bench.hardware().isa;
  result.backend = bench.backend().name();
  result.precision = recipe.train.precision;
  result.batch = bench.images(recipe);
  result.shards = sizing.shards;
  result.shard_threads = sizing.shard_threads;
  result.lanes = sizing.lanes;
  result.threads = sizing.lanes * static_cast<int>(sizing.shard_threads);
  result.steps = static_cast<std::int64_t>(times.steps.size());
  result.step_s = spread_of(times.steps);
  result.host_s = spread_of(times.host).median;
  result.page_faults_per_step = static_cast<double>(times.page_faults) / static_cast<double>(times.calls);
  const auto rate = [&](double step_s) { return static_cast<double>(result.batch) / step_s; };
  result.images_per_s = {rate(result.step_s.p90), rate(result.step_s.median), rate(result.step_s.p10)};
  for (const Node& node : bench.plan().graph.nodes) {
    if (!node.op->flops || bench.plan().graph.is_copy(node)) continue;
    const double flops = node.op->flops(bench.plan().graph, node) * static_cast<double>(sizing.shards);
    result.flops_per_step += flops;
    if (is_product(node)) result.products_flops_per_step += flops;
  }
  result.gflop_per_s = result.flops_per_step * 1e-9 / result.step_s.median;
  const std::int64_t waves = (sizing.shards + sizing.lanes - 1) / sizing.lanes;
  if (!options.steps_only) result.ops = times.profile.shares(result.step_s.median, waves, sizing.shards);
  if (ceiling != nullptr) {
    result.ceiling_s = spread_of(times.ceilings).median;
    result.ceiling_share = result.ceiling_s / result.step_s.median;
    result.products = ceiling->products();
  }
  result.memory_plan_bytes = bench.executable().memory().total();
  result.load_after = load_average();
  return result;
}

}  // namespace athanor
