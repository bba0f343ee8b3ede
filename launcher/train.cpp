// athanor train RECIPE [KEY=VALUE …] [--run DIR] [--json]
#include "base/error.h"
#include "launcher/command.h"
#include "launcher/output.h"
#include "launcher/usage.h"
#include "train/trainer.h"

namespace athanor {
namespace {

void add_train(CLI::App& program, int& exit_code) {
  struct Arguments {
    RecipeArguments recipe;
    std::string run;
    bool json = false;
  };
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command = program.add_subcommand("train", "Trains what a recipe describes");
  arguments->recipe.add_to(*command);
  add_run_option(*command, arguments->run);
  command->add_flag("--json", arguments->json, "Print the summary as one JSON object on standard output");
  command->callback([arguments, &exit_code] {
    TrainOptions options;
    options.run = arguments->run;
    options.recipe_argument = arguments->recipe.text();
    options.program = program_name();
    options.text_to_stderr = arguments->json;
    const Summary summary = train(read_recipe(arguments->recipe.recipe, arguments->recipe.overrides), options);
    if (arguments->json) print_json(to_json(summary));
    if (summary.status == "interrupted") exit_code = static_cast<int>(ExitCode::interrupted);
  });
}

const RegisterCommand kTrain{1, add_train};

}  // namespace
}  // namespace athanor
