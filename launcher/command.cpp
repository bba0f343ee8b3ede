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

}  // namespace athanor
