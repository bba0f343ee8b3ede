#include "launcher/supervisor/supervisor.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>

#include "base/host_name.h"
#include "launcher/supervisor/meeting.h"
#include "launcher/supervisor/narration.h"

namespace athanor {
namespace {

JobStatus first_status(const SupervisorOptions& options) {
  JobStatus status;
  status.launcher = name_of(options.place.launcher);
  status.max_restarts = options.limits.most_restarts;
  return status;
}

/// As people know them.
std::vector<HostSlots> shown(const std::vector<HostSlots>& hosts) {
  std::vector<HostSlots> named = hosts;
  for (HostSlots& host : named) {
    if (host.name == "localhost") host.name = host_name();
  }
  return named;
}

}  // namespace

Supervisor::Supervisor(SupervisorOptions options)
    : options_(std::move(options)),
      stop_(io_, say),
      policy_(options_.limits),
      ledger_(options_.place.hosts, options_.limits.window_s),
      record_(first_status(options_)) {}

int Supervisor::run() {
  for (const std::string& warning : options_.place.warnings) say("warning: " + warning);
  if (geteuid() == 0 && options_.place.launcher == LauncherKind::mpirun) {
    say("running as root: mpirun is told to allow it (OMPI_ALLOW_RUN_AS_ROOT)");
  }
  return run_attempts();
}

int Supervisor::run_attempts() {
  HostLedger::Choice choice{{ledger_.hosts().begin(), ledger_.hosts().end()}, {}, {}};
  for (;;) {
    HostProbe probe(io_, options_.place, options_.rsh_agent);
    const std::vector<HostSlots> hosts = fill(choice.hosts, options_.place.ranks);
    begin_attempt(hosts, choice);
    const AttemptEnd end = run_attempt(hosts, probe);
    const watch::JobPicture picture = record_.status().picture;
    if (stop_.at_once()) return finish(static_cast<int>(ExitCode::interrupted), "");
    if (stop_.asked() && !is_good(end)) return has_begun_steps(picture) ? finish_unsaved(end) : finish_stopped();
    const RestartDecision decision =
        policy_.decide(end, furthest_step(picture), has_made_steps(picture), now_s(), options_.restartable);
    if (!decision.again) return finish(decision.exit_code, decision.why);
    choice = choose_hosts(hosts, probe);
    if (choice.none_answers && options_.place.slurm_job.empty() && number_ == 1 && !has_begun_steps(picture)) {
      return finish(end.code,
                    fmt::format("no host answers: {}; are the names right, and does `{} HOST true` work "
                                "without a password?",
                                names_text(ledger_.hosts()), options_.rsh_agent.empty() ? "ssh" : options_.rsh_agent));
    }
    say_restart(end, choice, decision.delay_s);
    record_.change([](JobStatus& status) {
      status.state = "restarting";
      ++status.restarts;
    });
    if (wait_until(io_, after_seconds(decision.delay_s), [&] { return stop_.asked(); }) || stop_.asked()) {
      return finish_stopped();
    }
  }
}

void Supervisor::begin_attempt(const std::vector<HostSlots>& hosts, const HostLedger::Choice& choice) {
  const int ranks = slots_of(hosts);
  if (ranks < options_.place.ranks) {
    say(fmt::format("{} of {} ranks: that is what {} take{}", ranks, options_.place.ranks, names_text(shown(hosts)),
                    hosts.size() == 1 ? "s" : ""));
  }
  ++number_;
  begun_ = std::chrono::steady_clock::now();
  restart_.meeting_s = 0;
  if (detected_) restart_.choosing_s = seconds_since(*detected_) - restart_.ending_s;
  record_.change([&](JobStatus& status) {
    status.attempt = number_;
    status.state = "starting";
    status.hosts.clear();
    for (const HostSlots& host : shown(hosts)) status.hosts.push_back(host.name);
    status.left_out_hosts = choice.unreachable;
    status.left_out_hosts.insert(status.left_out_hosts.end(), choice.failing.begin(), choice.failing.end());
  });
}

/// Ranks of commands that need no others never call.
double Supervisor::start_timeout_s(int ranks) const {
  if (!options_.restartable) return 0;
  return options_.start_timeout_s > 0 ? options_.start_timeout_s : default_start_timeout_s(ranks);
}

AttemptEnd Supervisor::run_attempt(const std::vector<HostSlots>& hosts, HostProbe& probe) {
  const std::size_t faults_before = record_.status().faults.size();
  RanksToStart ranks{hosts, options_.command, "", options_.rsh_agent, fmt::format("athanor-{}-{}", getpid(), number_)};
  Attempt attempt(io_, options_.place, options_.surroundings, std::move(ranks), start_timeout_s(slots_of(hosts)),
                  [&](const watch::Event& event) { on_event(event, hosts, probe); });
  record_.watch(attempt.service());
  const AttemptEnd end = attempt.run(stop_);
  record_.note_training(false);
  binding_timer_.cancel();
  if (!detected_) detected_ = attempt.detected();
  if (detected_) restart_.ending_s = seconds_since(*detected_);
  const bool is_fault =
      end.code != static_cast<int>(ExitCode::done) && end.code != static_cast<int>(ExitCode::preempted);
  if (is_fault && record_.status().faults.size() == faults_before && !stop_.asked()) {
    note_fault(
        "launcher", {},
        attempt.launcher_was_killed() ? fmt::format("{} was killed", name_of(options_.place.launcher)) : end.why);
  }
  if (is_fault) ask_silent_hosts(hosts, probe);
  if (is_fault && !attempt.has_met()) ledger_.suspect(hosts, now_s());
  record_.settle_faults(number_, end.code);
  record_.watch(nullptr);
  return end;
}

HostLedger::Choice Supervisor::choose_hosts(const std::vector<HostSlots>& last, HostProbe& probe) {
  for (const HostSlots& host : ledger_.hosts()) {
    const bool took_part =
        std::any_of(last.begin(), last.end(), [&](const HostSlots& other) { return other.name == host.name; });
    if (!took_part) ask(host.name, probe);
  }
  return ledger_.choose(probe.answers(), now_s());
}

void Supervisor::say_restart(const AttemptEnd& end, const HostLedger::Choice& choice, double delay_s) const {
  std::string left_out;
  if (!choice.unreachable.empty())
    left_out += fmt::format("; left out: {} (no answer)", fmt::join(choice.unreachable, ", "));
  if (!choice.failing.empty()) {
    left_out += fmt::format("; left out this once: {} (failed twice)", fmt::join(choice.failing, ", "));
  }
  say(fmt::format("attempt {} ended with code {}; starting again{} on {}, from the newest checkpoint that verifies{}",
                  number_, end.code, delay_s > 0 ? fmt::format(" in {:.0f} s", delay_s) : "",
                  names_text(shown(choice.hosts)), left_out));
}

/// Asked to stop where no rank could save any more: the run goes on later from its last checkpoint.
int Supervisor::finish_stopped() {
  return finish(static_cast<int>(stop_.by_interrupt() ? ExitCode::interrupted : ExitCode::preempted), "");
}

/// Asked to stop, and something broke on the way out.
int Supervisor::finish_unsaved(const AttemptEnd& end) {
  say("not all ranks could save: the same command goes on from the last checkpoint");
  return finish(end.code, end.why);
}

int Supervisor::finish(int code, const std::string& why) {
  record_.change([&](JobStatus& status) {
    status.state = "ended";
    status.exit_code = code;
  });
  const JobStatus status = record_.status();
  // A short job that went well needs none.
  constexpr double kShort_s = 60;
  const bool is_advice_wanted = status.restarts > 0 || status.uptime_s > kShort_s;
  if (is_advice_wanted && !status.interval_advice.empty()) say(status.interval_advice);
  if (!why.empty()) say(fmt::format("not started again (code {}): {}", code, why));
  if (status.restarts > 0) {
    say(fmt::format("ended with code {} after {} restart{}", code, status.restarts, status.restarts == 1 ? "" : "s"));
  }
  return code;
}

}  // namespace athanor
