// The `athanor` program: reads the command line, runs one command, and turns failures into messages and exit codes.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <exception>

#include "base/failure.h"
#include "base/print.h"
#include "launcher/command.h"
#include "launcher/output.h"
#include "launcher/ranks.h"
#include "launcher/usage.h"
#include "train/finished_marker.h"

namespace athanor {
namespace {

/// A command line as the user typed it.
struct CommandLine {
  std::string program;
  std::vector<std::string> arguments;
};

int report(const Failure& failure) {
  if (is_first_rank()) report_failure(failure);
  return static_cast<int>(failure.code);
}

/// What CLI11 refused (or, with code 0, the help that was asked for).
int report(const CommandLine& line, CLI::App& program, const CLI::ParseError& error) {
  join_ranks();
  if (error.get_exit_code() == 0) return is_first_rank() ? program.exit(error) : 0;
  std::string message = error.what();
  const std::string hints = flag_hints(program, line.arguments);
  if (!hints.empty()) message += "\n" + hints.substr(0, hints.size() - 1);
  return report({ExitCode::usage, message + "\nRun with --help for more information."});
}

int run(const CommandLine& line) {
  CLI::App program{"Trains convolutional networks, in one process or in many.", line.program};
  program.require_subcommand(1);
  program.set_version_flag("--version", ATHANOR_VERSION);
  int exit_code = 0;
  add_commands(program, exit_code);
  try {
    want_known_commands(program, line.arguments);
    // CLI11 takes the words from the back.
    program.parse(std::vector<std::string>(line.arguments.rbegin(), line.arguments.rend()));
  } catch (const CLI::ParseError& error) {
    return report(line, program, error);
  } catch (...) {
    // A failure of one rank alone has ended the job before it gets here: the first rank speaks for all.
    return report(current_failure());
  }
  return exit_code;
}

/// The last thing that a job does that went well.
int leave_marker() {
  if (!is_first_rank()) return 0;
  try {
    leave_finished_marker();
    return 0;
  } catch (...) {
    return report(current_failure());
  }
}

}  // namespace
}  // namespace athanor

int main(int argc, char** argv) {
  // A reader that goes away (`| head`) must not end a training; what cannot be printed is lost, the run is not.
  std::signal(SIGPIPE, SIG_IGN);
  athanor::CommandLine line{argc > 0 ? argv[0] : "athanor", {}};
  for (int i = 1; i < argc; ++i) line.arguments.emplace_back(argv[i]);
  athanor::set_program(line.program);
  if (std::find(line.arguments.begin(), line.arguments.end(), "--json") != line.arguments.end()) {
    athanor::promise_json();
  }
  int exit_code = athanor::run(line);
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
    athanor::print_or_lose(stderr, "athanor: cannot write to standard output\n");
    if (exit_code == 0) exit_code = static_cast<int>(athanor::ExitCode::storage);
  }
  return exit_code == 0 ? athanor::leave_marker() : exit_code;
}
