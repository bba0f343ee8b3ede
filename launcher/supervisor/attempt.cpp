#include "launcher/supervisor/attempt.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <csignal>

#include "launcher/supervisor/leftovers.h"
#include "launcher/supervisor/meeting.h"
#include "launcher/supervisor/slurm_step.h"

namespace athanor {
namespace {

/// For ranks that know of the end to end by themselves; their heartbeat threads end them after 5 s.
constexpr double kRanksEnd_s = 8;
/// For ranks to see for themselves that another one has failed, until they are told.
constexpr double kByThemselves_s = 1;
/// For a rank that has said why it fails to abort: with a launcher that waits, that hangs.
constexpr double kAbort_s = 0.3;
/// For a launcher whose ranks are gone to pass on what they printed. mpirun takes much longer where a rank ended with a
/// code: it waits twice kKillDelay_s for ranks that are gone.
constexpr double kLauncherEnd_s = 1, kLauncherEndAfterFault_s = 0.3, kLauncherEndAfterSuccess_s = 10;
constexpr double kSlurmEnd_s = 6;
constexpr double kAgentsEnd_s = 1;
/// For ranks that never called, from when the others had left.
constexpr double kUnheardEnd_s = 30;
constexpr double kKilled_s = 5;  ///< for the kernel to end what was killed

}  // namespace

Attempt::Attempt(boost::asio::io_context& io, const Place& place, const Surroundings& surroundings, RanksToStart ranks,
                 double start_timeout_s, std::function<void(const watch::Event&)> on_event)
    : io_(io),
      place_(place),
      ranks_(std::move(ranks)),
      start_timeout_s_(start_timeout_s),
      on_event_(std::move(on_event)) {
  const auto forward = [this, alive = std::weak_ptr(is_alive_)](const watch::Event& event) {
    boost::asio::post(io_, [this, alive, event] {
      if (!alive.expired()) handle(event);
    });
  };
  service_ = std::make_shared<watch::HeartbeatService>(
      watch::ServiceOptions{.world_size = slots_of(ranks_.hosts), .by_supervisor = true, .judge = {}}, forward);
  ranks_.invitation = to_text(service_->invitation());
  child_ = std::make_unique<Child>(io, launcher_command(place, surroundings, ranks_));
}

Attempt::~Attempt() = default;

void Attempt::handle(const watch::Event& event) {
  using watch::EventKind;
  if (event.kind == EventKind::joined) has_joined_ = true;
  const bool is_end =
      event.kind == EventKind::lost || event.kind == EventKind::stalled || event.kind == EventKind::failed;
  if (is_end && !detected_) detected_ = std::chrono::steady_clock::now();
  // A launcher that was killed takes its ranks with it; what they say then is its fault.
  if (is_end && child_) note_end_of_launcher();
  if (!(is_end && launcher_was_killed_)) on_event_(event);
}

void Attempt::note_end_of_launcher() {
  const std::optional<int> code = child_->exit_code();
  if (code && *code < 0 && !is_ended_by_us_) launcher_was_killed_ = true;
}

/// Those that never called say none: they have some time when the others have left.
bool Attempt::all_said_good_bye() {
  const watch::JobPicture picture = service_->picture();
  std::size_t said = 0, unheard = 0;
  for (const watch::RankPicture& rank : picture.ranks) {
    said += rank.exit_code.has_value();
    unheard += rank.presence == watch::Presence::expected;
  }
  if (said == 0 || said + unheard < picture.ranks.size()) return false;
  if (!others_left_) others_left_ = std::chrono::steady_clock::now();
  return unheard == 0 || seconds_since(*others_left_) > kUnheardEnd_s;
}

/// Until they have met nobody else judges the ranks. One that cannot call, of a job that makes steps, is only named.
void Attempt::judge_meeting() {
  constexpr double kWarningShare = 0.25;
  constexpr double kLateLook_s = 1;  // this process was stopped meanwhile, and could hear nobody
  waited_s_ += std::min(seconds_since(std::exchange(last_look_, std::chrono::steady_clock::now())), kLateLook_s);
  if (start_timeout_s_ <= 0 || has_joined_ || detected_ || waited_s_ < kWarningShare * start_timeout_s_) return;
  const bool is_over = waited_s_ >= start_timeout_s_ && !has_met();
  if (is_late_ && !is_over) return;
  is_late_ = true;
  const Missing missing = missing_ranks(service_->picture(), ranks_.hosts, waited_s_);
  if (missing.ranks.empty()) return;
  handle({is_over ? watch::EventKind::lost : watch::EventKind::warning, missing.ranks, missing.hosts, missing.text});
}

/// Nothing is lost where no rank has begun a step.
bool Attempt::is_early(const StopRequests& stop) const {
  return stop.asked() && !has_met();
}

AttemptEnd Attempt::end_so_far() const {
  return end_of_attempt(service_->picture(), std::string(name_of(place_.launcher)), child_->exit_code().value_or(0));
}

void Attempt::pass_on(const StopRequests& stop) {
  if (!stop.asked() || is_stop_passed_on_) return;
  is_stop_passed_on_ = true;
  service_->request_stop();
  // Ranks that never called hear it from their launcher.
  if (!has_joined_) child_->send_alone(SIGUSR2);
}

AttemptEnd Attempt::run(const StopRequests& stop) {
  constexpr double kForever_s = 1e9;
  bool is_early_stop = false;
  wait_until(io_, after_seconds(kForever_s), [&] {
    judge_meeting();
    is_early_stop = is_early(stop);
    if (!is_early_stop) pass_on(stop);
    return child_->exit_code() || detected_ || stop.at_once() || is_early_stop || all_said_good_bye();
  });
  note_end_of_launcher();
  if (!detected_ && child_->exit_code() && !is_good(end_so_far())) detected_ = std::chrono::steady_clock::now();
  wind_up(stop, is_early_stop);
  return end_of_attempt(service_->picture(), std::string(name_of(place_.launcher)),
                        child_->exit_code().value_or(-SIGKILL));
}

/// Lets those ranks leave that can, and ends what is left.
void Attempt::wind_up(const StopRequests& stop, bool is_early_stop) {
  if (is_early_stop) {
    service_->end_job(ExitCode::preempted, "stopped before the ranks had joined");
  } else if (child_->exit_code() && !is_good(end_so_far())) {
    service_->end_job(ExitCode::peer, fmt::format("{} is gone", name_of(place_.launcher)));
  }
  if (!is_early_stop) {
    const auto has_ended = [&] { return stop.at_once() || have_ranks_left(); };
    if (detected_ && !wait_until(io_, after_seconds(kByThemselves_s), has_ended)) {
      const AttemptEnd end = end_so_far();
      service_->end_job(static_cast<ExitCode>(end.code), end.why);
    }
    wait_until(io_, after_seconds(kRanksEnd_s), has_ended);
    const double processes_end_s = stop.at_once() ? 0 : detected_ ? kAbort_s : kRanksEnd_s;
    wait_until(io_, after_seconds(processes_end_s), [&] { return ranks_here(ranks_.invitation).empty(); });
  }
  for (const pid_t pid : ranks_here(ranks_.invitation)) kill(pid, SIGKILL);
  end_launcher();
  end_what_is_left();
}

/// A launcher that was killed leaves its agents behind, which end by themselves where the other side still answers.
void Attempt::end_what_is_left() {
  const auto is_none_left = [&] { return processes_here(ranks_.invitation).empty(); };
  if (wait_until(io_, after_seconds(kAgentsEnd_s), is_none_left)) return;
  for (const pid_t pid : processes_here(ranks_.invitation)) kill(pid, SIGKILL);
  wait_until(io_, after_seconds(kKilled_s), is_none_left);
}

/// As far as the service knows. On its way it ends the ranks of this machine that will not leave by themselves: those
/// that are lost (stopped, perhaps) and those that never joined.
bool Attempt::have_ranks_left() {
  using watch::Presence;
  const watch::JobPicture picture = service_->picture();
  for (const pid_t pid : ranks_here(ranks_.invitation)) {
    const bool may_leave = std::any_of(picture.ranks.begin(), picture.ranks.end(), [&](const auto& rank) {
      return rank.pid == pid && rank.presence != Presence::lost;
    });
    if (!may_leave) kill(pid, SIGKILL);
  }
  // A silent one does not hear that it should leave; where it runs here it is ended with what is left.
  return std::none_of(picture.ranks.begin(), picture.ranks.end(),
                      [](const auto& rank) { return rank.presence == Presence::connected; });
}

void Attempt::end_launcher() {
  const auto has_ended = [&] { return child_->exit_code().has_value(); };
  const AttemptEnd end = end_so_far();
  const bool is_done = end.by_ranks && end.code == static_cast<int>(ExitCode::done);
  const double grace_s = is_done ? kLauncherEndAfterSuccess_s : detected_ ? kLauncherEndAfterFault_s : kLauncherEnd_s;
  if (wait_until(io_, after_seconds(grace_s), has_ended) && place_.launcher == LauncherKind::mpirun) return;
  is_ended_by_us_ = true;
  if (place_.launcher == LauncherKind::srun) {
    // Slurm's step does not end with its srun.
    // Not at all soon where a host is gone, so that the next attempt begins in any case.
    const std::optional<std::string> left = kill_slurm_step(io_, place_.slurm_job, ranks_.step_name, kSlurmEnd_s);
    if (left) {
      on_event_(
          {watch::EventKind::warning,
           {},
           {},
           fmt::format("Slurm {} after {:.0f} s: what is left of it may hold the run folder, for which ranks then wait",
                       left->empty() ? "has not said whether step " + ranks_.step_name + " has ended"
                                     : "has not ended step " + *left,
                       kSlurmEnd_s)});
    }
    wait_until(io_, after_seconds(kLauncherEnd_s), has_ended);
  }
  if (!has_ended()) child_->send(SIGKILL);
  wait_until(io_, after_seconds(kKilled_s), has_ended);
}

}  // namespace athanor
