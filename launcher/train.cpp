// athanor train RECIPE [KEY=VALUE …] [--run DIR] [--resume auto|never|FILE] [--init FILE] [--json]
#include <fmt/format.h>

#include <filesystem>

#include "base/error.h"
#include "base/tilde.h"
#include "launcher/command.h"
#include "launcher/output.h"
#include "launcher/ranks.h"
#include "launcher/usage.h"
#include "train/phases.h"
#include "train/stop.h"
#include "train/trainer.h"

namespace athanor {
namespace {

struct TrainArguments {
  RecipeArguments recipe;
  std::string run;
  std::string resume = "auto";
  std::string init;
  bool json = false;
};

/// Throws UsageError where --resume and --init exclude each other or name no file.
void want_files(const TrainArguments& arguments) {
  const bool names_file = arguments.resume != "auto" && arguments.resume != "never";
  if (names_file && !arguments.init.empty()) {
    throw UsageError("--resume {} and --init {}: a run starts from one of them; leave the other out", arguments.resume,
                     arguments.init);
  }
  std::error_code ignored;
  if (names_file && !std::filesystem::exists(arguments.resume, ignored)) {
    throw UsageError("--resume {}: neither auto nor never, and there is no such checkpoint file{}", arguments.resume,
                     tilde_hint(arguments.resume));
  }
  if (!arguments.init.empty() && !std::filesystem::exists(arguments.init, ignored)) {
    throw UsageError("--init {}: there is no such checkpoint file{}", arguments.init, tilde_hint(arguments.init));
  }
}

int run_train(const TrainArguments& arguments, const StopSignals& stop, Communicator& communicator) {
  want_alike(communicator,
             fmt::format("--run {} --resume {} --init {}", arguments.run, arguments.resume, arguments.init), "option");
  Recipe recipe;
  agree_on(communicator, "recipe", [&] {
    if (is_first_rank()) want_files(arguments);
    recipe = read_recipe(arguments.recipe.recipe, arguments.recipe.overrides);
  });
  TrainOptions options;
  options.communicator = &communicator;
  options.stop = &stop;
  options.run = arguments.run;
  options.resume = arguments.resume;
  options.init = arguments.init;
  options.recipe_argument = arguments.recipe.text();
  options.program = program_name();
  options.text_to_stderr = arguments.json;
  const Summary summary = train(std::move(recipe), options);
  if (arguments.json && is_first_rank()) print_json(to_json(summary));
  if (summary.status == "preempted") return static_cast<int>(ExitCode::preempted);
  return static_cast<int>(summary.status == "interrupted" ? ExitCode::interrupted : ExitCode::done);
}

void add_train(CLI::App& program, int& exit_code) {
  auto arguments = std::make_shared<TrainArguments>();
  CLI::App* command =
      program.add_subcommand("train", "Trains what a recipe describes, or goes on; alone, under mpirun or under srun");
  arguments->recipe.add_to(*command);
  add_run_option(*command, arguments->run);
  command->add_option(
      "--resume", arguments->resume,
      "auto (default): goes on from the newest checkpoint in the run folder that verifies; never: starts "
      "over; else a checkpoint file to go on from");
  command->add_option("--init", arguments->init, "Checkpoint file whose weights a new run starts from");
  command->add_flag("--json", arguments->json, "Print the summary as one JSON object on standard output");
  command->callback([arguments, &exit_code] {
    // From before the ranks meet until after they part: a launcher may say it twice.
    const StopSignals stop;
    run_on_ranks("train", [&](Communicator& communicator) {
      exit_code = run_train(*arguments, stop, communicator);
      set_outcome(communicator, {static_cast<ExitCode>(exit_code), ""});
    });
  });
}

const RegisterCommand kTrain{1, add_train};

}  // namespace
}  // namespace athanor
