// The `athanor` program: reads the command line, runs one command, and turns failures into messages and exit codes.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <new>

#include "base/error.h"
#include "launcher/command.h"

int main(int argc, char** argv) {
  CLI::App program{"Trains convolutional networks on the processors of one machine.", "athanor"};
  program.require_subcommand(1);
  program.set_version_flag("--version", ATHANOR_VERSION);
  // A reader that goes away (`| head`) must not end a training; what cannot be printed is lost, the run is not.
  std::signal(SIGPIPE, SIG_IGN);
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
  } catch (const std::filesystem::filesystem_error& error) {
    fmt::print(stderr, "athanor: {}\n", error.what());
    return static_cast<int>(athanor::ExitCode::storage);
  } catch (const std::exception& error) {
    // Threads that cannot be started, primitives that cannot be made: the machine does not give what the run needs.
    fmt::print(stderr, "athanor: {}; does this process have enough memory and threads?\n", error.what());
    return static_cast<int>(athanor::ExitCode::device);
  }
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
    fmt::print(stderr, "athanor: cannot write to standard output\n");
    if (exit_code == 0) exit_code = static_cast<int>(athanor::ExitCode::storage);
  }
  return exit_code;
}
