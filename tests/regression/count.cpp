// count RECIPE [KEY=VALUE …]: one "NAME COUNT" a line, as tests/regression/run compares them: what the plans of a
// recipe cost (train/plan_counters.h), the memory that its run plans, and what its step does beside computing:
// barriers, teams of threads, allocations, page faults. The same on every machine: it is as if it had two cores. The
// step is run with one image a shard, since none of that depends on how many there are.
//
// count --steps N RECIPE [KEY=VALUE …]: N such steps on one core, and no counter is printed: for a profiler to count
// instructions.
#include <dlfcn.h>
#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <exception>
#include <limits>
#include <string_view>

#include "allocation/counter.h"
#include "backend/cpu/cpu_executable.h"
#include "kernels/isa.h"
#include "train/plan_counters.h"
#include "train/session.h"
#include "train/synthetic.h"

namespace {

std::atomic<long> teams{0};

}  // namespace

/// Stands before the OpenMP runtime's: what a parallel region of ours or of oneDNN's calls to start its team.
extern "C" void GOMP_parallel(void (*work)(void*), void* data, unsigned threads, unsigned flags) {
  using Start = void (*)(void (*)(void*), void*, unsigned, unsigned);
  static const auto start = reinterpret_cast<Start>(dlsym(RTLD_NEXT, "GOMP_parallel"));
  teams.fetch_add(1, std::memory_order_relaxed);
  start(work, data, threads, flags);
}

namespace athanor {
namespace {

constexpr int kCores = 2;
constexpr std::int64_t kRowsOfShard = 1;
/// What made this program, since the instructions are its.
constexpr const char* kCompiler =
#ifndef NDEBUG
    "not optimised";
#else
    "compiler " __VERSION__;
#endif

/// A recipe on a machine of kCores, up to the plans.
struct Planned {
  Planned(Recipe wanted, int cores) : recipe(std::move(wanted)) {
    hardware.allowed_cpus = cores;
    sizing =
        size_run(recipe, std::max<std::int64_t>(1, info.train_size - recipe.data.validation), hardware, *communicator);
    // What is measured differs from machine to machine: our own kernels wherever they can run.
    plans = make_plans(recipe, model_of(recipe), info, sizing, false);
  }

  Recipe recipe;
  Hardware hardware;
  std::unique_ptr<Communicator> communicator = make_self_communicator();
  DatasetInfo info = described_data(recipe);
  Sizing sizing;
  Plans plans;
};

Recipe with_few_rows(Recipe recipe) {
  const std::int64_t shards = std::max<std::int64_t>(1, recipe.train.shards);
  recipe.train.batch = kRowsOfShard * shards;
  recipe.eval.batch = shards;
  return recipe;
}

class SmallRun {
 public:
  SmallRun(const Recipe& recipe, int cores)
      : planned_(with_few_rows(recipe), cores),
        storage_(planned_.recipe.train.batch, planned_.info, host_batch_memory()),
        executable_(options()) {
    initialize_state(executable_, planned_.plans.training, planned_.recipe.train.seed);
    fill_synthetic(storage_.batch(), planned_.info, augmentations_from(planned_.recipe.data.augment));
  }

  void step() {
    executable_.step(storage_.batch(), {.step = ++steps_, .lr = 1e-6, .momentum = 0.9, .grad_scale = 1}, {});
  }
  std::uint32_t barriers() const { return executable_.barriers(); }

 private:
  ExecutableOptions options() {
    ExecutableOptions options =
        executable_options(planned_.recipe, planned_.sizing, planned_.plans, *planned_.communicator);
    options.evaluation = nullptr;
    return options;
  }

  Planned planned_;
  BatchStorage storage_;
  cpu::CpuExecutable executable_;
  std::int64_t steps_ = 0;
};

std::int64_t page_faults() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_minflt;
}

std::vector<Counter> count_memory(Planned& planned) {
  const MemoryPlan memory = cpu_backend().plan_memory(
      executable_options(planned.recipe, planned.sizing, planned.plans, *planned.communicator));
  const auto count = [](std::size_t bytes) { return static_cast<std::int64_t>(bytes); };
  return {{"memory_bytes/weights", count(memory.state)},
          {"memory_bytes/optimizer", count(memory.optimizer)},
          {"memory_bytes/gradients", count(memory.gradients)},
          {"memory_bytes/activations", count(memory.activations)},
          {"memory_bytes/shared", count(memory.shared)}};
}

/// Of a step behind the second. What else goes on in the machine can add page faults (pages that are moved, or put
/// together into large ones), never take any away: the least of the steps is what a step itself does, and once there
/// were none there is nothing to look for.
std::vector<Counter> count_step(const Recipe& recipe) {
  constexpr int kWarmUp = 2, kFewest = 2, kMost = 30;
  SmallRun run(recipe, kCores);
  for (int step = 0; step < kWarmUp; ++step) run.step();
  const std::uint32_t barriers_before = run.barriers();
  const long teams_before = teams;
  std::int64_t faults = std::numeric_limits<std::int64_t>::max();
  long allocations = 0;
  int steps = 0;
  while (steps < kFewest || (faults > 0 && steps < kMost)) {
    const std::int64_t before = page_faults();
    allocations = std::max(allocations, testing::allocations_during([&] { run.step(); }).ours);
    faults = std::min(faults, page_faults() - before);
    ++steps;
  }
  return {{"step/barriers", (run.barriers() - barriers_before) / steps},
          {"step/teams", (teams - teams_before) / steps},
          {"step/allocations", allocations},
          {"step/page_faults", faults}};
}

void print(const std::vector<Counter>& counters) {
  for (const Counter& counter : counters) fmt::print("{} {}\n", counter.name, counter.count);
}

void run(std::vector<std::string> words) {
  int steps = 0;
  if (words.size() > 1 && words[0] == "--steps") {
    steps = std::stoi(words[1]);
    words.erase(words.begin(), words.begin() + 2);
  }
  if (words.empty()) throw UsageError("usage: count [--steps N] RECIPE [KEY=VALUE …]");
  const std::string file = words[0];
  words.erase(words.begin());
  words.emplace_back("device=cpu");
  const Recipe recipe = read_recipe(file, words);
  const std::string made_by = cpu_backend().versions() + ", " + std::string(kernels::name_of(kernels::active_isa()));
  if (steps > 0) {
    fmt::print("# {}, {}\n", made_by, kCompiler);
    SmallRun run(recipe, 1);
    for (int step = 0; step < steps; ++step) run.step();
    return;
  }
  fmt::print("# {}\n", made_by);
  Planned planned(recipe, kCores);
  print(count_plans(planned.recipe, planned.sizing, planned.plans));
  print(count_memory(planned));
  print(count_step(recipe));
}

}  // namespace
}  // namespace athanor

int main(int argc, char** argv) {
  try {
    athanor::run({argv + 1, argv + argc});
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    return EXIT_FAILURE;
  }
  return EXIT_SUCCESS;
}
