#include "launcher/supervisor/supervisor.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>

#include "base/host_name.h"
#include "launcher/supervisor/binding_map.h"

namespace athanor {
namespace {

void say(const std::string& text) {
  fmt::print(stderr, "athanor launch: {}\n", text);
}

double now_s() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

JobStatus first_status(const SupervisorOptions& options) {
  JobStatus status;
  status.launcher = name_of(options.place.launcher);
  status.max_restarts = options.limits.most_restarts;
  return status;
}

std::string_view kind_name(watch::EventKind kind) {
  switch (kind) {
    case watch::EventKind::lost:
      return "lost";
    case watch::EventKind::stalled:
      return "stalled";
    default:
      return "failed";
  }
}

/// As people know them.
std::vector<HostSlots> shown(const std::vector<HostSlots>& hosts) {
  std::vector<HostSlots> named = hosts;
  for (HostSlots& host : named) {
    if (host.name == "localhost") host.name = host_name();
  }
  return named;
}

/// What the hosts call themselves, in the order of their ranks.
std::vector<std::string> hosts_in_order(const watch::JobPicture& picture) {
  std::vector<std::string> order;
  for (const watch::RankPicture& rank : picture.ranks) {
    if (!rank.host.empty() && std::find(order.begin(), order.end(), rank.host) == order.end()) {
      order.push_back(rank.host);
    }
  }
  return order;
}

/// Of a report's lines the first, which says who and what.
std::string first_line(const std::string& text) {
  return text.substr(0, text.find('\n'));
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
    if (stop_.asked() && !end.by_ranks) return finish_stopped();
    const RestartDecision decision =
        policy_.decide(end, furthest_step(picture), has_made_steps(picture), now_s(), options_.restartable);
    if (!decision.again) return finish(decision.exit_code, decision.why);
    choice = choose_hosts(hosts, probe);
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

AttemptEnd Supervisor::run_attempt(const std::vector<HostSlots>& hosts, HostProbe& probe) {
  const std::size_t faults_before = record_.status().faults.size();
  RanksToStart ranks{hosts, options_.command, "", options_.rsh_agent, fmt::format("athanor-{}-{}", getpid(), number_)};
  Attempt attempt(io_, options_.place, options_.surroundings, std::move(ranks),
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
  record_.settle_faults(number_, end.code);
  record_.watch(nullptr);
  return end;
}

void Supervisor::on_event(const watch::Event& event, const std::vector<HostSlots>& hosts, HostProbe& probe) {
  using watch::EventKind;
  switch (event.kind) {
    case EventKind::joined:
      restart_.meeting_s = seconds_since(begun_);
      record_.change([](JobStatus& status) { status.state = "running"; });
      return;
    case EventKind::first_step:
      return on_first_step();
    case EventKind::warning:
      return on_warning(event);
    case EventKind::lost:
    case EventKind::stalled:
    case EventKind::failed:
      record_.note_training(false);
      note_fault(kind_name(event.kind), event.hosts, event.text);
      if (event.kind != EventKind::failed || has_failed_device(event)) blame(event.hosts, hosts, probe);
  }
}

/// Silence and slowness are recorded; that a rank is heard again is only said.
void Supervisor::on_warning(const watch::Event& event) {
  const watch::JobPicture picture = record_.status().picture;
  const bool is_silent = std::any_of(event.ranks.begin(), event.ranks.end(), [&](int rank) {
    return picture.ranks.at(static_cast<std::size_t>(rank)).presence == watch::Presence::silent;
  });
  const bool is_straggler = event.text.find("straggler") != std::string::npos;
  if (is_silent || is_straggler) return note_fault(is_silent ? "silent" : "straggler", event.hosts, event.text);
  say(event.text);
}

/// A rank that lacks memory or a device: its host is to blame. What else a rank says of itself comes from others, or
/// from what all of them share.
bool Supervisor::has_failed_device(const watch::Event& event) const {
  const watch::JobPicture picture = record_.status().picture;
  return std::any_of(event.ranks.begin(), event.ranks.end(), [&](int rank) {
    return picture.ranks.at(static_cast<std::size_t>(rank)).exit_code == static_cast<int>(ExitCode::device);
  });
}

void Supervisor::on_first_step() {
  record_.note_training(true);
  constexpr int kMostLooks = 20;
  show_binding(kMostLooks);
  if (!detected_) return;
  const double restart_s = seconds_since(*std::exchange(detected_, std::nullopt));
  record_.change([&](JobStatus& status) { status.last_restart_s = restart_s; });
  say(fmt::format(
      "restarted in {:.1f} s: {:.1f} s until nothing ran any more, {:.1f} s to choose hosts, {:.1f} s until "
      "the ranks had met, {:.1f} s until their first step",
      restart_s, restart_.ending_s, restart_.choosing_s, restart_.meeting_s,
      restart_s - restart_.ending_s - restart_.choosing_s - restart_.meeting_s));
}

/// Ranks say with a later beat how many threads they have.
void Supervisor::show_binding(int looks_left) {
  const watch::JobPicture picture = record_.status().picture;
  const bool is_known = std::all_of(picture.ranks.begin(), picture.ranks.end(),
                                    [](const watch::RankPicture& rank) { return rank.threads > 0; });
  if (!is_known && looks_left > 0) {
    binding_timer_.expires_after(in_seconds(0.25));
    binding_timer_.async_wait([this, looks_left](const boost::system::error_code& error) {
      if (!error) show_binding(looks_left - 1);
    });
    return;
  }
  const std::vector<std::string> map = binding_map(picture);
  if (map == shown_map_) return;
  for (const std::string& line : map) say(line);
  for (const std::string& line : binding_warnings(picture)) say("warning: " + line);
  shown_map_ = map;
}

/// Hosts of ranks that ended without a word, whatever was to blame; all of them where nobody has joined.
void Supervisor::ask_silent_hosts(const std::vector<HostSlots>& hosts, HostProbe& probe) const {
  const watch::JobPicture picture = record_.status().picture;
  const std::vector<std::string> order = hosts_in_order(picture);
  for (const watch::RankPicture& rank : picture.ranks) {
    if (!rank.exit_code && !rank.host.empty()) ask(listed_name(hosts, rank.host, order), probe);
  }
  if (!order.empty()) return;
  for (const HostSlots& host : hosts) ask(host.name, probe);
}

void Supervisor::blame(const std::vector<std::string>& own_names, const std::vector<HostSlots>& hosts,
                       HostProbe& probe) {
  const std::vector<std::string> order = hosts_in_order(record_.status().picture);
  for (const std::string& own_name : own_names) {
    const std::string host = listed_name(hosts, own_name, order);
    if (!host.empty()) ledger_.note_failure(host, now_s());
    ask(host, probe);
  }
}

/// Nobody needs to ask the only host there is.
void Supervisor::ask(const std::string& host, HostProbe& probe) const {
  if (!host.empty() && options_.place.hosts.size() > 1) probe.ask(host);
}

void Supervisor::note_fault(std::string_view kind, const std::vector<std::string>& hosts, const std::string& text) {
  // A rank that fails says why by itself.
  if (kind != kind_name(watch::EventKind::failed)) say((is_warning(kind) ? "warning: " : "") + text);
  FaultRecord fault;
  fault.time = utc_now();
  fault.attempt = number_;
  fault.step = furthest_step(record_.status().picture);
  fault.kind = kind;
  fault.hosts = hosts;
  fault.text = first_line(text);
  record_.add_fault(std::move(fault));
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
