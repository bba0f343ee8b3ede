#include "launcher/bench.h"

namespace athanor {

CLI::App& bench_command(CLI::App& program) {
  for (CLI::App* command : program.get_subcommands([](CLI::App*) { return true; })) {
    if (command->get_name() == "bench") return *command;
  }
  CLI::App* bench = program.add_subcommand("bench", "Measures one part alone, on synthetic data where it can");
  bench->require_subcommand(1);
  return *bench;
}

}  // namespace athanor
