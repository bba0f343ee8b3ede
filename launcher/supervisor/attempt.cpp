#include "launcher/supervisor/attempt.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <csignal>

#include "launcher/supervisor/leftovers.h"
#include "launcher/supervisor/slurm_step.h"

namespace athanor {
namespace {

/// For ranks that know of the end to end by themselves; their heartbeat threads end them after 5 s.
constexpr double kRanksEnd_s = 8;
/// For a rank that has said why it fails to abort: with a launcher that waits, that hangs.
constexpr double kAbort_s = 0.3;
/// For a launcher whose ranks are gone to pass on what they printed. mpirun takes much longer where a rank ended with a
/// code: it waits twice kKillDelay_s for ranks that are gone.
constexpr double kLauncherEnd_s = 1, kLauncherEndAfterFault_s = 0.3, kLauncherEndAfterSuccess_s = 10;
constexpr double kSlurmEnd_s = 10;
constexpr double kKilled_s = 5;  ///< for the kernel to end what was killed

}  // namespace

Attempt::Attempt(boost::asio::io_context& io, const Place& place, const Surroundings& surroundings, RanksToStart ranks,
                 std::function<void(const watch::Event&)> on_event)
    : io_(io), place_(place), ranks_(std::move(ranks)), on_event_(std::move(on_event)) {
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

bool Attempt::all_said_good_bye() const {
  const watch::JobPicture picture = service_->picture();
  return std::all_of(picture.ranks.begin(), picture.ranks.end(),
                     [](const watch::RankPicture& rank) { return rank.exit_code.has_value(); });
}

void Attempt::pass_on(const StopRequests& stop) {
  if (!stop.asked() || is_stop_passed_on_) return;
  is_stop_passed_on_ = true;
  service_->request_stop();
}

AttemptEnd Attempt::run(const StopRequests& stop) {
  constexpr double kForever_s = 1e9;
  wait_until(io_, after_seconds(kForever_s), [&] {
    pass_on(stop);
    const bool is_early_stop = stop.asked() && !has_joined_;
    return child_->exit_code() || detected_ || stop.at_once() || is_early_stop || all_said_good_bye();
  });
  note_end_of_launcher();
  if (!detected_ && child_->exit_code() && !all_said_good_bye()) detected_ = std::chrono::steady_clock::now();
  wind_up(stop);
  return end_of_attempt(service_->picture(), std::string(name_of(place_.launcher)),
                        child_->exit_code().value_or(-SIGKILL));
}

/// Lets those ranks leave that can, and ends what is left.
void Attempt::wind_up(const StopRequests& stop) {
  const bool is_early_stop = stop.asked() && !has_joined_;
  if (is_early_stop) {
    service_->end_job(ExitCode::preempted, "stopped before the ranks had joined");
  } else if (child_->exit_code() && !all_said_good_bye()) {
    service_->end_job(ExitCode::peer, fmt::format("{} is gone", name_of(place_.launcher)));
  }
  if (!is_early_stop) {
    wait_until(io_, after_seconds(kRanksEnd_s), [&] { return stop.at_once() || have_ranks_left(); });
    const double processes_end_s = stop.at_once() ? 0 : detected_ ? kAbort_s : kRanksEnd_s;
    wait_until(io_, after_seconds(processes_end_s), [&] { return ranks_here(ranks_.invitation).empty(); });
  }
  for (const pid_t pid : ranks_here(ranks_.invitation)) kill(pid, SIGKILL);
  end_launcher();
  wait_until(io_, after_seconds(kKilled_s), [&] { return ranks_here(ranks_.invitation).empty(); });
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
  return std::none_of(picture.ranks.begin(), picture.ranks.end(), [](const auto& rank) {
    return rank.presence == Presence::connected || rank.presence == Presence::silent;
  });
}

void Attempt::end_launcher() {
  const auto has_ended = [&] { return child_->exit_code().has_value(); };
  const AttemptEnd end = end_of_attempt(service_->picture(), "", 0);
  const bool is_done = end.by_ranks && end.code == static_cast<int>(ExitCode::done);
  const double grace_s = is_done ? kLauncherEndAfterSuccess_s : detected_ ? kLauncherEndAfterFault_s : kLauncherEnd_s;
  if (wait_until(io_, after_seconds(grace_s), has_ended) && place_.launcher == LauncherKind::mpirun) return;
  is_ended_by_us_ = true;
  if (place_.launcher == LauncherKind::srun) {
    // Slurm's step does not end with its srun.
    kill_slurm_step(io_, place_.slurm_job, ranks_.step_name, kSlurmEnd_s);
    wait_until(io_, after_seconds(kLauncherEnd_s), has_ended);
  }
  if (!has_ended()) child_->send(SIGKILL);
  wait_until(io_, after_seconds(kKilled_s), has_ended);
}

}  // namespace athanor
