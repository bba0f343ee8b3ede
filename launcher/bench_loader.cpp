// athanor bench loader RECIPE [KEY=VALUE …] [--seconds S] [--workers N] [--step-ms MS] [--json]
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "data/loader_benchmark.h"
#include "launcher/bench.h"
#include "launcher/command.h"
#include "launcher/output.h"
#include "launcher/ranks.h"
#include "launcher/usage.h"
#include "train/run_data.h"
#include "train/units_text.h"

namespace athanor {
namespace {

struct Arguments {
  RecipeArguments recipe;
  double seconds = 10;
  double step_ms = 0;
  int workers = 1;
  bool json = false;
};

std::string to_json(const LoaderBenchmark& result, const Recipe& recipe, const Arguments& arguments) {
  const nlohmann::ordered_json json{{"benchmark", "loader"},
                                    {"recipe", recipe.name},
                                    {"data", recipe.data.set.name},
                                    {"batch", recipe.train.batch},
                                    {"workers", arguments.workers},
                                    {"step_ms", arguments.step_ms},
                                    {"batches", result.batches},
                                    {"images", result.images},
                                    {"seconds", result.seconds},
                                    {"images_per_s", result.images_per_s},
                                    {"wait_s", result.wait_s},
                                    {"wait_share", result.wait_share},
                                    {"first_batch_ms", result.first_batch_s * 1e3}};
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

void print_result(std::FILE* out, const LoaderBenchmark& result, const Recipe& recipe, const Arguments& arguments) {
  fmt::print(out, "{}: {}, batch {}, {}\n", recipe.name, recipe.data.set.name, recipe.train.batch,
             plural(arguments.workers, "worker"));
  fmt::print(out, "  speed      {} images/s, {} in {:.2f} s\n",
             count_text(static_cast<std::int64_t>(result.images_per_s)), plural(result.batches, "batch", "batches"),
             result.seconds);
  if (arguments.step_ms > 0) {
    fmt::print(out, "  wait       {:.2f} % of the time, beside a step of {:g} ms\n", result.wait_share * 100,
               arguments.step_ms);
  } else {
    fmt::print(out, "  wait       {:.2f} % of the time; nothing else is done, so this is the loader's own speed\n",
               result.wait_share * 100);
  }
  fmt::print(out, "  start      {:.1f} ms until the first batch\n", result.first_batch_s * 1e3);
}

void run(const Arguments& arguments) {
  const Recipe recipe = read_recipe(arguments.recipe.recipe, arguments.recipe.overrides);
  const RunData data = open_data(recipe);
  LoaderOptions options;
  options.batch = recipe.train.batch;
  options.seed = recipe.train.seed;
  options.augmentations = data.augmentations;
  options.subset = data.train_subset;
  options.workers = arguments.workers;
  const LoaderBenchmark result =
      run_loader_benchmark(*data.train, std::move(options), arguments.seconds, arguments.step_ms * 1e-3);
  print_result(arguments.json ? stderr : stdout, result, recipe, arguments);
  if (arguments.json) print_json(to_json(result, recipe, arguments));
}

void add_bench_loader(CLI::App& program, int&) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command =
      bench_command(program).add_subcommand("loader", "Speed of the data loader alone, and how long a step would wait");
  arguments->recipe.add_to(*command);
  command->add_option("--seconds", arguments->seconds, "How long to measure (default: 10)")
      ->check(number_from(0.01, 86400));
  command->add_option("--workers", arguments->workers, "Threads that fill batches (default: 1)")
      ->check(number_from(1, 1024));
  command->add_option("--step-ms", arguments->step_ms, "Milliseconds that each batch is used for (default: 0)")
      ->check(number_from(0, 60000));
  command->add_flag("--json", arguments->json, "Print one JSON object on standard output, the text on standard error");
  command->callback([arguments] { run_on_first_rank("bench loader", [&](Communicator&) { run(*arguments); }); });
}

const RegisterCommand kBenchLoader{21, add_bench_loader};

}  // namespace
}  // namespace athanor
