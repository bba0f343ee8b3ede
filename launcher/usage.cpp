#include "launcher/usage.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "base/error.h"
#include "base/tilde.h"
#include "config/field_value.h"
#include "config/nearest.h"
#include "config/override_keys.h"

namespace athanor {
namespace {

std::vector<std::string> command_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    names.push_back(command->get_name());
  }
  return names;
}

/// nullptr where there is none.
CLI::App* find_command(CLI::App& app, const std::string& name) {
  const auto found = app.get_subcommands([&](const CLI::App* command) { return command->get_name() == name; });
  return found.empty() ? nullptr : found.front();
}

/// The command that the first words name, with the words behind it.
CLI::App* innermost(CLI::App& program, std::span<const std::string>& arguments) {
  CLI::App* app = &program;
  while (!arguments.empty()) {
    CLI::App* next = find_command(*app, arguments.front());
    if (next == nullptr) break;
    app = next;
    arguments = arguments.subspan(1);
  }
  return app;
}

std::vector<std::string> option_names(const CLI::App& command) {
  std::vector<std::string> names;
  for (const CLI::Option* option : command.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back(name);
  }
  return names;
}

/// "--lr" with "-0.1" behind it: a value, not another flag.
bool is_value(const std::string& word) {
  return !word.starts_with('-') || parse_real(word).has_value();
}

}  // namespace

void want_known_commands(CLI::App& program, std::span<const std::string> arguments) {
  const CLI::App* app = innermost(program, arguments);
  const std::vector<std::string> names = command_names(*app);
  if (arguments.empty() || names.empty() || arguments.front().starts_with('-')) return;
  throw UsageError("unknown command '{}'{}", arguments.front(), suggestion(arguments.front(), names));
}

std::string flag_hints(CLI::App& program, std::span<const std::string> arguments) {
  CLI::App* command = innermost(program, arguments);
  const std::vector<std::string> known = option_names(*command);
  const bool takes_keys = command->get_option_no_throw("KEY=VALUE") != nullptr;
  std::string hints;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    if (!arguments[i].starts_with("--") || arguments[i].size() == 2) continue;
    const std::size_t equals = arguments[i].find('=');
    const std::string name = arguments[i].substr(2, equals == std::string::npos ? equals : equals - 2);
    if (std::find(known.begin(), known.end(), name) != known.end()) continue;
    const std::optional<std::string> option = nearest(name, known);
    const std::optional<std::string> key = takes_keys ? override_key_meant(name) : std::nullopt;
    std::string value = "…";
    if (equals != std::string::npos) {
      value = arguments[i].substr(equals + 1);
    } else if (i + 1 < arguments.size() && is_value(arguments[i + 1])) {
      value = arguments[i + 1];
    }
    const bool option_is_nearer =
        option && (!key || edit_distance(name, *option) < edit_distance(name, key->substr(key->rfind('.') + 1)));
    if (option_is_nearer) {
      hints += fmt::format("--{}: did you mean --{}?\n", name, *option);
    } else if (key) {
      hints +=
          fmt::format("--{}: did you mean {}={}? Settings of the recipe are written KEY=VALUE.\n", name, *key, value);
    }
  }
  return hints;
}

CLI::Validator number_from(double minimum, double maximum) {
  return CLI::Validator(
      [=](std::string& text) -> std::string {
        const std::optional<double> number = parse_real(text);
        if (number && *number >= minimum && *number <= maximum) return "";
        return fmt::format("wanted a number from {} to {}, found '{}'", minimum, maximum, text);
      },
      fmt::format("from {} to {}", minimum, maximum));
}

void add_run_option(CLI::App& command, std::string& run) {
  const auto problem = [](const std::string& folder) -> std::string {
    if (folder.empty()) return "wanted a folder, found nothing";
    std::error_code ignored;
    if (!folder.starts_with('~') || std::filesystem::exists(folder, ignored)) return "";
    return folder + tilde_hint(folder);
  };
  command.add_option("--run", run, "Run folder (default: runs/NAME)")->check(problem);
}

}  // namespace athanor
