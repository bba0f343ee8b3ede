// athanor bench heartbeat [--ranks N] [--seconds S] [--json]
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "launcher/bench.h"
#include "launcher/command.h"
#include "launcher/output.h"
#include "launcher/usage.h"
#include "watch/heartbeat_benchmark.h"

namespace athanor {
namespace {

/// What the costs are told as a share of.
constexpr double kHeartbeatStep_ns = 10e6;

struct HeartbeatArguments {
  int ranks = 4096;
  double seconds = 10;
  bool json = false;
};

void run_heartbeat(const HeartbeatArguments& arguments) {
  // First, for it forks.
  const watch::ServiceCost service = watch::measure_service_cost(arguments.ranks, arguments.seconds);
  const watch::RankCost rank = watch::measure_rank_cost(arguments.seconds);
  const double board_share = rank.board_ns / kHeartbeatStep_ns;
  std::FILE* const out = arguments.json ? stderr : stdout;
  fmt::print(out, "each rank, with steps of 10 ms and 12 collectives in each\n");
  fmt::print(out, "  board      {:.2f} us a step: {:.4f} %\n", rank.board_ns * 1e-3, board_share * 100);
  fmt::print(out, "  thread     {:.1f} us of a core a second: {:.4f} %\n", rank.client_share * 1e6,
             rank.client_share * 100);
  fmt::print(out, "  together   {:.4f} % of a step\n", (board_share + rank.client_share) * 100);
  fmt::print(out, "the service, with {} ranks at a beat a second\n", service.ranks);
  if (service.ranks < arguments.ranks) {
    fmt::print(out, "  ({} were asked for: this process may open no more files; ulimit -Hn)\n", arguments.ranks);
  }
  fmt::print(out, "  start      {:.2f} s until all have called\n", service.calls_s);
  fmt::print(out, "  beats      {:.0f} a second arrive, over {:.1f} s\n", service.beats_per_s, service.seconds);
  fmt::print(out, "  processor  {:.2f} % of a core\n", service.cpu_share * 100);
  fmt::print(out, "  memory     {:.1f} MB\n", service.memory_bytes * 1e-6);
  fmt::print(out, "  dropped    {}\n", service.dropped);
  if (!arguments.json) return;
  print_json(nlohmann::ordered_json{{"benchmark", "heartbeat"},
                                    {"board_ns", rank.board_ns},
                                    {"thread_share", rank.client_share},
                                    {"step_share", board_share + rank.client_share},
                                    {"ranks", service.ranks},
                                    {"seconds", service.seconds},
                                    {"beats_per_s", service.beats_per_s},
                                    {"service_share", service.cpu_share},
                                    {"service_bytes", service.memory_bytes},
                                    {"calls_s", service.calls_s},
                                    {"dropped", service.dropped}}
                 .dump());
}

void add_bench_heartbeat(CLI::App& program, int&) {
  auto arguments = std::make_shared<HeartbeatArguments>();
  CLI::App* command = bench_command(program).add_subcommand(
      "heartbeat", "What the heartbeats cost each step, and their service with the ranks of a large job");
  command->add_option("--ranks", arguments->ranks, "Ranks that are simulated (default: 4096)")
      ->check(number_from(1, 100000));
  command->add_option("--seconds", arguments->seconds, "How long to measure each (default: 10)")
      ->check(number_from(0.1, 3600));
  command->add_flag("--json", arguments->json, "Print one JSON object on standard output, the text on standard error");
  command->callback([arguments] { run_heartbeat(*arguments); });
}

const RegisterCommand kBenchHeartbeat{25, add_bench_heartbeat};

}  // namespace
}  // namespace athanor
