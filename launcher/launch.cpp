// athanor launch [-n N] [--hosts H1:4,H2:4] [--launcher auto|mpirun|srun] … COMMAND ARGUMENTS…
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <optional>
#include <thread>

#include "base/error.h"
#include "base/print.h"
#include "config/nearest.h"
#include "launcher/command.h"
#include "launcher/supervisor/descriptor_limit.h"
#include "launcher/supervisor/narration.h"
#include "launcher/supervisor/status_server.h"
#include "launcher/supervisor/supervisor.h"
#include "launcher/usage.h"

namespace athanor {
namespace {

struct LaunchArguments {
  PlaceRequest place;
  std::string rsh_agent;
  double start_timeout_s = 0;
  RestartLimits limits;
  std::string status_address, status_token_file;
  bool dry_run = false;
};

/// Options of launch that stand behind a command that has none of that name.
void want_no_stray_options(const CLI::App& launch, const CLI::App& program, const std::vector<std::string>& words) {
  const CLI::App* const command = program.get_subcommand(words.front());
  if (!command->get_subcommands([](const CLI::App*) { return true; }).empty()) return;
  for (const std::string& word : words) {
    const std::string name = word.substr(0, word.find('='));
    if (!name.starts_with('-') || launch.get_option_no_throw(name) == nullptr ||
        command->get_option_no_throw(name) != nullptr) {
      continue;
    }
    throw UsageError("launch: {0} is an option of launch and belongs in front of {1}: {2} launch {0} … {1} …", name,
                     words.front(), program_name());
  }
}

/// "launch [OPTIONS] COMMAND ARGUMENTS…"
class LaunchHelp : public CLI::Formatter {
 public:
  std::string make_usage(const CLI::App* app, std::string name) const override {
    std::string usage = CLI::Formatter::make_usage(app, std::move(name));
    usage.erase(usage.find_last_not_of('\n') + 1);
    return usage + " COMMAND ARGUMENTS…\n";
  }
};

/// What CLI11 has left: the ranks' command, from the first word that is no option of ours.
std::vector<std::string> ranks_command(const CLI::App& launch, const CLI::App& program) {
  std::vector<std::string> words = launch.remaining();
  if (words.empty()) {
    throw UsageError("launch what? The command of the ranks is missing: {} launch -n 2 train RECIPE", program_name());
  }
  if (words.front().starts_with('-')) {
    std::vector<std::string> options;
    for (const CLI::Option* option : launch.get_options()) {
      for (const std::string& name : option->get_lnames()) options.push_back("--" + name);
    }
    throw UsageError("launch: unknown option {}{}; options of the ranks' command stand behind it", words.front(),
                     suggestion(words.front(), options));
  }
  std::vector<std::string> commands;
  for (const CLI::App* command : program.get_subcommands([](const CLI::App*) { return true; })) {
    if (command->get_name() != "launch" && command->get_name() != "status") commands.push_back(command->get_name());
  }
  if (std::find(commands.begin(), commands.end(), words.front()) == commands.end()) {
    throw UsageError("launch: '{}' is no command that ranks run together{}", words.front(),
                     suggestion(words.front(), commands));
  }
  want_no_stray_options(launch, program, words);
  return words;
}

/// The ranks run this very file, wherever PATH leads by then.
std::string own_program() {
  std::error_code error;
  const std::filesystem::path path = std::filesystem::read_symlink("/proc/self/exe", error);
  return error ? program_name() : path.string();
}

StatusServerOptions status_server_options(const LaunchArguments& arguments, const Supervisor& supervisor) {
  StatusServerOptions options;
  parse_status_address(arguments.status_address, options);
  if (!arguments.status_token_file.empty()) options.token = read_status_token(arguments.status_token_file);
  options.status = [&supervisor] { return supervisor.status(); };
  return options;
}

/// What is left to write may lie on a disk that hangs; the job has ended all the same.
constexpr std::chrono::seconds kTimeForFiles{10};
void end_within(std::chrono::seconds time, int code) {
  std::thread([time, code] {
    std::this_thread::sleep_for(time);
    _exit(code);
  }).detach();
}

int run_launch(const LaunchArguments& arguments, std::vector<std::string> command) {
  SupervisorOptions options;
  options.surroundings = these_surroundings();
  options.place = find_place(arguments.place, options.surroundings);
  options.restartable = command.front() == "train";
  options.command = {own_program()};
  options.command.insert(options.command.end(), command.begin(), command.end());
  options.rsh_agent = arguments.rsh_agent;
  options.start_timeout_s = arguments.start_timeout_s;
  options.limits = arguments.limits;
  if (arguments.dry_run) {
    const RanksToStart ranks{fill(options.place.hosts, options.place.ranks), options.command, "", options.rsh_agent,
                             "athanor"};
    for (const std::string& warning : options.place.warnings) say(warning);
    print_or_lose(stdout, "{}\n", to_text(launcher_command(options.place, options.surroundings, ranks)));
    return 0;
  }
  raise_descriptor_limit();
  Supervisor supervisor(std::move(options));
  std::optional<StatusServer> server;
  if (!arguments.status_address.empty()) {
    server.emplace(status_server_options(arguments, supervisor));
    say("status at " + server->url());
  }
  const int code = supervisor.run();
  end_within(kTimeForFiles, code);
  return code;
}

void add_launch(CLI::App& program, int& exit_code) {
  auto arguments = std::make_shared<LaunchArguments>();
  CLI::App* launch = program.add_subcommand(
      "launch", "Starts ranks with mpirun or srun and looks after them: launch -n 8 train RECIPE");
  launch->prefix_command();
  launch->formatter(std::make_shared<LaunchHelp>());
  launch->add_option("-n,--ranks", arguments->place.ranks, "Ranks (default: as many as the hosts take; one here)")
      ->check(number_from(1, 65536));
  launch->add_option("--hosts", arguments->place.hosts,
                     "Hosts and how many ranks each takes: h1:4,h2:4 (default: those of the Slurm job, or this one)");
  launch
      ->add_option("--launcher", arguments->place.launcher, "mpirun or srun (default: srun inside Slurm, else mpirun)")
      ->check(CLI::IsMember({"auto", "mpirun", "srun"}));
  launch->add_option("--rsh", arguments->rsh_agent, "How mpirun reaches other hosts (default: ssh)");
  launch
      ->add_option("--start-timeout", arguments->start_timeout_s,
                   "Seconds until all ranks have called (default: 60, and 0.1 for each rank)")
      ->check(number_from(1, 1e9));
  launch->add_option("--max-restarts", arguments->limits.most_restarts, "Within the window (default: 10)")
      ->check(number_from(0, 1e6));
  launch->add_option("--restart-window", arguments->limits.window_s, "Seconds that a restart counts (default: 3600)")
      ->check(number_from(1, 1e9));
  launch->add_option("--status", arguments->status_address,
                     "Serve the job's status by HTTP at [ADDRESS:]PORT (default address: 127.0.0.1)");
  launch->add_option("--status-token-file", arguments->status_token_file,
                     "File with the token that callers of another address must show");
  launch->add_flag("--dry-run", arguments->dry_run, "Print what would be started, and start nothing");
  launch->footer("Behind the options: the command of the ranks, with its own arguments. Only train is started again.");
  launch->callback([arguments, launch, &program, &exit_code] {
    exit_code = run_launch(*arguments, ranks_command(*launch, program));
  });
}

const RegisterCommand kLaunch{6, add_launch};

}  // namespace
}  // namespace athanor
