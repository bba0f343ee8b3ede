// athanor check RECIPE [KEY=VALUE …] [--run DIR] [--deep] [--json]: a line per thing that a run needs.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "launcher/command.h"
#include "launcher/output.h"
#include "launcher/ranks.h"
#include "launcher/usage.h"
#include "train/check.h"
#include "train/phases.h"

namespace athanor {
namespace {

struct CheckArguments {
  RecipeArguments recipe;
  std::string run;
  bool deep = false;
  bool json = false;
};

std::string json_of(const std::vector<CheckLine>& lines) {
  constexpr const char* kStatus[] = {"ok", "warning", "failed", "skipped"};
  nlohmann::ordered_json json{{"ok", exit_code_of(lines) == ExitCode::done},
                              {"exit_code", static_cast<int>(exit_code_of(lines))},
                              {"checks", nlohmann::ordered_json::array()}};
  for (const CheckLine& line : lines) {
    json["checks"].push_back(
        {{"what", line.what}, {"status", kStatus[static_cast<std::size_t>(line.status)]}, {"text", line.text}});
  }
  return json.dump();
}

int run_check(const CheckArguments& arguments, Communicator& communicator) {
  want_alike(communicator, fmt::format("--run {}{}", arguments.run, arguments.deep ? " --deep" : ""), "option");
  CheckOptions options;
  options.deep = arguments.deep;
  options.run = arguments.run;
  const std::vector<CheckLine> lines =
      check_recipe(arguments.recipe.recipe, arguments.recipe.overrides, options, communicator);
  if (!is_first_rank()) return static_cast<int>(exit_code_of(lines));
  std::FILE* text = arguments.json ? stderr : stdout;
  for (const CheckLine& line : lines) fmt::print(text, "{}", text_of(line));
  if (arguments.json) print_json(json_of(lines));
  return static_cast<int>(exit_code_of(lines));
}

void add_check(CLI::App& program, int& exit_code) {
  auto arguments = std::make_shared<CheckArguments>();
  CLI::App* command =
      program.add_subcommand("check", "Checks recipe, data, model, memory, disk and ranks before a run");
  arguments->recipe.add_to(*command);
  add_run_option(*command, arguments->run);
  command->add_flag(
      "--deep", arguments->deep,
      "Read every image, and look at the ranks together: launcher, binding, memory and other limits, clocks, "
      "run folder, disk, data of every host, links between hosts");
  command->add_flag("--json", arguments->json, "Print one JSON object on standard output");
  command->callback([arguments, &exit_code] {
    run_on_ranks("check", [&](Communicator& communicator) {
      exit_code = run_check(*arguments, communicator);
      if (exit_code != 0) set_outcome(communicator, {static_cast<ExitCode>(exit_code), "a check failed"});
    });
  });
}

const RegisterCommand kCheck{4, add_check};

}  // namespace
}  // namespace athanor
