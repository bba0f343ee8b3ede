// athanor status RUN [--json] [--watch]: what a run does now, as its folder says.
#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <thread>

#include "launcher/command.h"
#include "launcher/output.h"
#include "launcher/supervisor/status_json.h"
#include "launcher/supervisor/status_text.h"

namespace athanor {
namespace {

constexpr std::chrono::seconds kWatchEvery{2};

struct StatusArguments {
  std::string run;
  bool json = false, watch = false;
};

std::string json_of(const RunView& view) {
  using Json = nlohmann::ordered_json;
  Json json{{"supervised", view.is_supervised},
            {"writer", view.writer},
            {"alive", view.is_alive ? Json(*view.is_alive) : Json(nullptr)},
            {"age_s", view.age_s ? Json(*view.age_s) : Json(nullptr)}};
  json.update(to_json(view.status));
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

void run_status(const StatusArguments& arguments) {
  while (true) {
    const RunView view = look_at_run(arguments.run);
    if (arguments.json) {
      print_json(json_of(view));
    } else {
      constexpr const char* kClear = "\x1b[H\x1b[2J";
      if (arguments.watch && ::isatty(STDOUT_FILENO) == 1) fmt::print("{}", kClear);
      fmt::print("{}", status_text(view));
    }
    if (!arguments.watch || view.status.state == "ended") return;
    // A reader that went away ends the watching.
    if (std::fflush(stdout) != 0) return;
    std::this_thread::sleep_for(kWatchEvery);
  }
}

void add_status(CLI::App& program, int&) {
  auto arguments = std::make_shared<StatusArguments>();
  CLI::App* command = program.add_subcommand("status", "Says what a run does now: progress, ranks, faults");
  command->add_option("RUN", arguments->run, "Run folder (runs/NAME)")->required();
  command->add_flag("--json", arguments->json, "Print one JSON object instead");
  command->add_flag("--watch", arguments->watch, "Look again every 2 s until the run ends");
  command->callback([arguments] { run_status(*arguments); });
}

const RegisterCommand kStatus{7, add_status};

}  // namespace
}  // namespace athanor
