// athanor bench step RECIPE [KEY=VALUE …] [--evaluation] [--steps-only] [--batch N] [--threads N] [--seconds S]
// [--json]
#include <fmt/format.h>

#include "launcher/bench.h"
#include "launcher/command.h"
#include "launcher/output.h"
#include "launcher/ranks.h"
#include "launcher/usage.h"
#include "train/step_benchmark.h"

namespace athanor {
namespace {

void add_bench_step(CLI::App& program, int&) {
  struct Arguments {
    RecipeArguments recipe;
    std::int64_t batch = 0;
    StepBenchmarkOptions options;
    bool json = false;
  };
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command = bench_command(program).add_subcommand(
      "step", "Speed of the training step on synthetic data, where its time goes, and its share of the ceiling");
  arguments->recipe.add_to(*command);
  command->add_flag("--evaluation", arguments->options.evaluation,
                    "Batches of eval.batch images through the evaluation plan instead of training steps");
  command->add_flag("--steps-only", arguments->options.steps_only, "Neither ceiling nor profile");
  command->add_option("--batch", arguments->batch, "Images of one step (default: the recipe's)")
      ->check(number_from(1, 1e9));
  command->add_option("--threads", arguments->options.threads, "Cores to use (default: all that are allowed)")
      ->check(number_from(1, 65536));
  command->add_option("--seconds", arguments->options.seconds, "How long to measure (default: 10)")
      ->check(number_from(0.01, 86400));
  command->add_flag("--json", arguments->json, "Print one JSON object on standard output, the text on standard error");
  command->callback([arguments] {
    run_on_first_rank("bench step", [&](Communicator&) {
      std::vector<std::string> overrides = arguments->recipe.overrides;
      const std::string_view key = arguments->options.evaluation ? "eval.batch" : "train.batch";
      if (arguments->batch > 0) overrides.push_back(fmt::format("{}={}", key, arguments->batch));
      const StepBenchmark result =
          run_step_benchmark(read_recipe(arguments->recipe.recipe, overrides), arguments->options);
      print_step_benchmark(arguments->json ? stderr : stdout, result);
      if (arguments->json) print_json(to_json(result));
    });
  });
}

const RegisterCommand kBenchStep{20, add_bench_step};

}  // namespace
}  // namespace athanor
