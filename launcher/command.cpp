#include "launcher/command.h"

#include <map>

namespace athanor {
namespace {

std::multimap<int, AddCommand>& table() {
  static std::multimap<int, AddCommand> commands;
  return commands;
}

}  // namespace

RegisterCommand::RegisterCommand(int order, AddCommand add) {
  table().emplace(order, std::move(add));
}

void add_commands(CLI::App& program, int& exit_code) {
  for (const auto& [order, add] : table()) add(program, exit_code);
}

void RecipeArguments::add_to(CLI::App& command) {
  command.add_option("RECIPE", recipe, "Recipe file (YAML)")->required();
  command.add_option("KEY=VALUE", overrides, "Settings that replace the recipe's: optimizer.lr=0.1");
}

std::string RecipeArguments::text() const {
  std::string line;
  const auto add = [&line](const std::string& word) {
    if (!line.empty()) line += ' ';
    const bool is_plain =
        word.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./=-+,:") == word.npos;
    line += is_plain ? word : "'" + word + "'";
  };
  add(recipe);
  for (const std::string& override_text : overrides) add(override_text);
  return line;
}

}  // namespace athanor
