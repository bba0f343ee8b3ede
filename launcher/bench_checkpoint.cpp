// athanor bench checkpoint RECIPE [KEY=VALUE …] [--dir DIR] [--rounds N] [--json]
#include <fmt/format.h>

#include "launcher/bench.h"
#include "launcher/command.h"
#include "launcher/output.h"
#include "launcher/ranks.h"
#include "launcher/usage.h"
#include "train/checkpoint_benchmark.h"

namespace athanor {
namespace {

void add_bench_checkpoint(CLI::App& program, int&) {
  struct Arguments {
    RecipeArguments recipe;
    CheckpointBenchmarkOptions options;
    bool json = false;
  };
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command = bench_command(program).add_subcommand(
      "checkpoint", "What a checkpoint of the recipe costs: stall of the step loop, writing, reading");
  arguments->recipe.add_to(*command);
  command->add_option("--dir", arguments->options.folder, "Folder on the disk to measure (default: this one)");
  command->add_option("--rounds", arguments->options.rounds, "How often to measure (default: 9)")
      ->check(number_from(1, 1000));
  command->add_flag("--json", arguments->json, "Print one JSON object on standard output, the text on standard error");
  command->callback([arguments] {
    run_on_first_rank("bench checkpoint", [&](Communicator&) {
      const CheckpointBenchmark result = run_checkpoint_benchmark(
          read_recipe(arguments->recipe.recipe, arguments->recipe.overrides), arguments->options);
      print_checkpoint_benchmark(arguments->json ? stderr : stdout, result);
      if (arguments->json) print_json(to_json(result));
    });
  });
}

const RegisterCommand kBenchCheckpoint{22, add_bench_checkpoint};

}  // namespace
}  // namespace athanor
