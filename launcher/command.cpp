#include "launcher/command.h"

#include <map>

#include "train/shell_words.h"

namespace athanor {
namespace {

std::multimap<int, AddCommand>& table() {
  static std::multimap<int, AddCommand> commands;
  return commands;
}

std::string& program() {
  static std::string name = "athanor";
  return name;
}

}  // namespace

void set_program(const std::string& name) {
  program() = name;
}

const std::string& program_name() {
  return program();
}

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
  std::string line = shell_word(recipe);
  for (const std::string& override_text : overrides) line += ' ' + shell_word(override_text);
  return line;
}

}  // namespace athanor
