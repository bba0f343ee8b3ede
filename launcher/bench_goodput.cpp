// athanor bench goodput [--hours N] [--fault-every S] [--detect S] [--restart S] [--stall S] [--write S] [--interval S]
// [--seed N] [--json]
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "launcher/bench.h"
#include "launcher/command.h"
#include "launcher/output.h"
#include "launcher/ranks.h"
#include "launcher/supervisor/goodput.h"
#include "launcher/usage.h"
#include "train/units_text.h"

namespace athanor {
namespace {

struct GoodputArguments {
  GoodputModel model;
  double interval_s = 0;  ///< 0: the best one
  bool json = false;
};

void print_goodput(std::FILE* out, const GoodputModel& model, const Goodput& result, double best_s) {
  const double all_s = model.hours * 3600;
  const auto percent = [&](double part_s) { return 100 * part_s / all_s; };
  fmt::print(out, "{:g} hours, a fault every {:g} s on average: {}, {}\n", model.hours, model.fault_every_s,
             plural(result.faults, "fault"), plural(result.saves, "save"));
  fmt::print(out, "goodput                {:6.2f} %   (expected over a long time: {:.2f} %)\n", 100 * result.share,
             100 * expected_goodput(model));
  fmt::print(out, "lost: detect, restart  {:6.2f} %   ({:g} s + {:g} s a fault)\n", percent(result.restarting_s),
             model.detect_s, model.restart_s);
  fmt::print(out, "lost: done again       {:6.2f} %   (saves {:.4g} s apart, {:g} s to the disk)\n",
             percent(result.redone_s), model.interval_s, model.write_s);
  fmt::print(out, "lost: saving           {:6.2f} %   ({:g} s a save)\n", percent(result.saving_s), model.stall_s);
  GoodputModel best = model;
  best.interval_s = best_s;
  fmt::print(out, "best interval          {:.4g} s, which gives {:.2f} %\n", best_s, 100 * expected_goodput(best));
}

std::string json_of(const GoodputModel& model, const Goodput& result, double best_s) {
  const nlohmann::ordered_json json{{"goodput", result.share},
                                    {"expected_goodput", expected_goodput(model)},
                                    {"best_interval_s", best_s},
                                    {"interval_s", model.interval_s},
                                    {"faults", result.faults},
                                    {"saves", result.saves},
                                    {"redone_s", result.redone_s},
                                    {"saving_s", result.saving_s},
                                    {"restarting_s", result.restarting_s},
                                    {"hours", model.hours},
                                    {"fault_every_s", model.fault_every_s},
                                    {"detect_s", model.detect_s},
                                    {"restart_s", model.restart_s},
                                    {"stall_s", model.stall_s},
                                    {"write_s", model.write_s},
                                    {"seed", model.seed}};
  return json.dump();
}

void run_bench_goodput(const GoodputArguments& arguments) {
  GoodputModel model = arguments.model;
  const double best_s = best_goodput_interval_s(model);
  model.interval_s = arguments.interval_s > 0 ? arguments.interval_s : best_s;
  if (model.interval_s < model.write_s) {
    throw UsageError("--interval {}: a save would begin before the one before is on the disk (--write {})",
                     model.interval_s, model.write_s);
  }
  const Goodput result = simulate_goodput(model);
  print_goodput(arguments.json ? stderr : stdout, model, result, best_s);
  if (arguments.json) print_json(json_of(model, result, best_s));
}

void add_bench_goodput(CLI::App& program, int&) {
  auto arguments = std::make_shared<GoodputArguments>();
  CLI::App* command = bench_command(program).add_subcommand(
      "goodput", "What share of a long job's time is training that lasts, with faults and restarts (simulated)");
  GoodputModel& model = arguments->model;
  command->add_option("--hours", model.hours, "Hours to simulate (default: 24)")->check(number_from(0.1, 1e6));
  command->add_option("--fault-every", model.fault_every_s, "Seconds between faults, mean (default: 600)")
      ->check(number_from(1, 1e9));
  command->add_option("--detect", model.detect_s, "Seconds from a fault until it is known (default: 1)")
      ->check(number_from(0, 1e5));
  command->add_option("--restart", model.restart_s, "Seconds from then to the next step (default: 5)")
      ->check(number_from(0, 1e5));
  command->add_option("--stall", model.stall_s, "Seconds that a save holds up training (default: 0.05)")
      ->check(number_from(1e-6, 1e5));
  command->add_option("--write", model.write_s, "Seconds until a save is on the disk (default: 0)")
      ->check(number_from(0, 1e5));
  command->add_option("--interval", arguments->interval_s, "Seconds of training between saves (default: the best)")
      ->check(number_from(0.001, 1e9));
  command->add_option("--seed", model.seed, "Of the times of the faults (default: 0)");
  command->add_flag("--json", arguments->json, "Print one JSON object on standard output, the text on standard error");
  command->callback(
      [arguments] { run_on_first_rank("bench goodput", [&](Communicator&) { run_bench_goodput(*arguments); }); });
}

const RegisterCommand kBenchGoodput{24, add_bench_goodput};

}  // namespace
}  // namespace athanor
