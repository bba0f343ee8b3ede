// athanor bench communication RECIPE [KEY=VALUE …] [--threads N] [--seconds S] [--json], under mpirun or srun
#include <fmt/format.h>

#include "launcher/bench.h"
#include "launcher/command.h"
#include "launcher/output.h"
#include "launcher/ranks.h"
#include "launcher/usage.h"
#include "train/communication_benchmark.h"

namespace athanor {
namespace {

void add_bench_communication(CLI::App& program, int&) {
  struct Arguments {
    RecipeArguments recipe;
    double seconds = 10;
    int threads = 0;
    bool json = false;
  };
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command = bench_command(program).add_subcommand(
      "communication", "What communication and equal bits cost the training step; start it with mpirun or srun");
  arguments->recipe.add_to(*command);
  command->add_option("--threads", arguments->threads, "Cores of each rank (default: its share of the allowed ones)")
      ->check(number_from(1, 65536));
  command->add_option("--seconds", arguments->seconds, "How long to measure (default: 10)")
      ->check(number_from(0.01, 86400));
  command->add_flag("--json", arguments->json, "Print one JSON object on standard output, the text on standard error");
  command->callback([arguments] {
    run_on_ranks("bench communication", [&](Communicator& communicator) {
      const CommunicationBenchmark result =
          benchmark_communication(read_recipe(arguments->recipe.recipe, arguments->recipe.overrides), communicator,
                                  arguments->seconds, arguments->threads);
      if (!is_first_rank()) return;
      fmt::print(arguments->json ? stderr : stdout, "{}", to_text(result));
      if (arguments->json) print_json(to_json(result));
    });
  });
}

const RegisterCommand kBenchCommunication{23, add_bench_communication};

}  // namespace
}  // namespace athanor
