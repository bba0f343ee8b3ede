// A command of the program: its options, and what it does. One file a command; they register themselves.
#pragma once

#include <CLI/CLI.hpp>

#include <functional>
#include <string>

namespace athanor {

/// Adds the command to the program; the callback it sets runs the command and leaves its exit code in `exit_code`.
using AddCommand = std::function<void(CLI::App& program, int& exit_code)>;

/// `const RegisterCommand kTrain{1, add_train};` — commands stand in the help in the order of their numbers.
struct RegisterCommand {
  RegisterCommand(int order, AddCommand add);
};

/// Adds all registered commands.
void add_commands(CLI::App& program, int& exit_code);

/// The program as the user started it (argv[0]), for commands to type next; set once by main.
void set_program(const std::string& name);
const std::string& program_name();

/// The recipe argument and its KEY=VALUE overrides, as several commands take them.
struct RecipeArguments {
  std::string recipe;
  std::vector<std::string> overrides;

  void add_to(CLI::App& command);
  /// As a shell would take them again: words with other than plain characters quoted.
  std::string text() const;
};

}  // namespace athanor
