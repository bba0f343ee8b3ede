// athanor bench allreduce [--from BYTES] [--to BYTES] [--seconds S] [--json], under mpirun or srun
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "comm/all_reduce_benchmark.h"
#include "launcher/bench.h"
#include "launcher/command.h"
#include "launcher/output.h"
#include "launcher/ranks.h"
#include "launcher/usage.h"

namespace athanor {
namespace {

void run(Communicator& communicator, const AllReduceBenchmarkOptions& options, bool json) {
  std::FILE* out = communicator.rank() > 0 ? nullptr : json ? stderr : stdout;
  if (out != nullptr) {
    fmt::print(out, "sum of float32 in place, {} rank{}, one shard each ({})\n", communicator.size(),
               communicator.size() == 1 ? "" : "s", communicator.backend());
    fmt::print(out, "{:>11} {:>11} | {:>11} {:>8} {:>8} | {:>11} {:>8} {:>8} | {:>6} {}\n", "bytes", "elements",
               "tree us", "alg GB/s", "bus GB/s", "library us", "alg GB/s", "bus GB/s", "ratio", "sums");
  }
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  const double to_bus = 2.0 * (communicator.size() - 1) / communicator.size();
  benchmark_all_reduce(communicator, options, [&](const AllReduceRow& row) {
    if (out == nullptr) return;
    const auto algorithm = [&](double us) { return us > 0 ? static_cast<double>(row.bytes) / us * 1e-3 : 0; };
    fmt::print(out, "{:>11} {:>11} | {:>11.2f} {:>8.3f} {:>8.3f} | {:>11.2f} {:>8.3f} {:>8.3f} | {:>6.2f} {}\n",
               row.bytes, row.bytes / 4, row.tree_us, algorithm(row.tree_us), algorithm(row.tree_us) * to_bus,
               row.library_us, algorithm(row.library_us), algorithm(row.library_us) * to_bus, row.ratio,
               row.exact ? "exact" : "WRONG");
    std::fflush(out);
    rows.push_back({{"bytes", row.bytes},
                    {"tree_us", row.tree_us},
                    {"library_us", row.library_us},
                    {"ratio", row.ratio},
                    {"tree_bus_gb_s", row.tree_bus_gb_s},
                    {"library_bus_gb_s", row.library_bus_gb_s},
                    {"exact", row.exact}});
  });
  if (out != nullptr && json) {
    print_json(nlohmann::ordered_json{{"ranks", communicator.size()}, {"rows", rows}}.dump());
  }
}

void add_bench_allreduce(CLI::App& program, int&) {
  struct Arguments {
    AllReduceBenchmarkOptions options;
    bool json = false;
  };
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command = bench_command(program).add_subcommand(
      "allreduce", "Speed of the ordered sum over ranks, against the library's; start it with mpirun or srun");
  command->add_option("--from", arguments->options.first_bytes, "Smallest size in bytes (default: 4)")
      ->check(number_from(4, 1e9));
  command->add_option("--to", arguments->options.last_bytes, "Largest size in bytes (default: 256 MiB)")
      ->check(number_from(4, 4e9));
  command->add_option("--seconds", arguments->options.seconds_a_size, "For each size (default: 1)")
      ->check(number_from(0.01, 3600));
  command->add_flag("--json", arguments->json, "Print one JSON object on standard output, the text on standard error");
  command->callback([arguments] {
    run_on_ranks("bench allreduce",
                 [&](Communicator& communicator) { run(communicator, arguments->options, arguments->json); });
  });
}

const RegisterCommand kBenchAllreduce{22, add_bench_allreduce};

}  // namespace
}  // namespace athanor
