// The `athanor` program: reads the command line, runs one command, and turns failures into messages and exit codes.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <new>

#include "base/error.h"
#include "launcher/command.h"

int main(int argc, char** argv) {
  CLI::App program{"Trains convolutional networks: the same command on one processor, under mpirun and under srun.",
                   "athanor"};
  program.require_subcommand(1);
  program.set_version_flag("--version", ATHANOR_VERSION);
  int exit_code = 0;
  athanor::add_commands(program, exit_code);
  try {
    program.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return program.exit(error) == 0 ? 0 : static_cast<int>(athanor::ExitCode::usage);
  } catch (const athanor::Error& error) {
    fmt::print(stderr, "athanor: {}\n", error.what());
    return static_cast<int>(error.code());
  } catch (const std::bad_alloc&) {
    fmt::print(stderr, "athanor: out of memory; use a smaller batch\n");
    return static_cast<int>(athanor::ExitCode::device);
  }
  return exit_code;
}
