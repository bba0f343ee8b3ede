// One attempt of a job: a launcher, its ranks and the service that hears them, from the start until nothing of it runs
// any more.
#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "launcher/supervisor/child.h"
#include "launcher/supervisor/pump.h"
#include "launcher/supervisor/restart_policy.h"
#include "launcher/supervisor/stop_requests.h"
#include "watch/heartbeat_service.h"

namespace athanor {

class Attempt {
 public:
  /// Starts the ranks; `ranks.invitation` is filled in. `start_timeout_s`: until all have called; 0: for ever.
  /// `on_event` is called on the supervisor's thread. Throws UsageError where the launcher cannot be started, PeerError
  /// where no port can be had.
  Attempt(boost::asio::io_context& io, const Place& place, const Surroundings& surroundings, RanksToStart ranks,
          double start_timeout_s, std::function<void(const watch::Event&)> on_event);
  ~Attempt();
  Attempt(const Attempt&) = delete;
  Attempt& operator=(const Attempt&) = delete;

  /// Until the launcher and all ranks are gone.
  AttemptEnd run(const StopRequests& stop);

  std::shared_ptr<const watch::HeartbeatService> service() const { return service_; }
  /// Whether its ranks came to work together. One that cannot call may work with the others all the same.
  bool has_met() const { return has_joined_ || has_begun_steps(service_->picture()); }
  /// When it was known that the attempt is over; none: it ended well.
  std::optional<SteadyTime> detected() const { return detected_; }
  /// Whether the launcher itself was ended by a signal that was not ours: no rank is to blame.
  bool launcher_was_killed() const { return launcher_was_killed_; }

 private:
  void handle(const watch::Event& event);
  bool have_ranks_left();
  bool all_said_good_bye();
  void judge_meeting();
  bool is_early(const StopRequests& stop) const;
  AttemptEnd end_so_far() const;
  void note_end_of_launcher();
  void pass_on(const StopRequests& stop);
  void wind_up(const StopRequests& stop, bool is_early_stop);
  void end_launcher();
  void end_what_is_left();

  boost::asio::io_context& io_;
  const Place& place_;
  RanksToStart ranks_;
  const double start_timeout_s_;
  double waited_s_ = 0;  ///< for the ranks to meet
  SteadyTime last_look_ = std::chrono::steady_clock::now();
  std::optional<SteadyTime> others_left_;  ///< when all who had called had said good-bye
  std::function<void(const watch::Event&)> on_event_;
  std::shared_ptr<bool> is_alive_ = std::make_shared<bool>(true);  ///< for events that are still on their way
  std::shared_ptr<watch::HeartbeatService> service_;
  std::unique_ptr<Child> child_;
  std::optional<SteadyTime> detected_;
  bool has_joined_ = false, is_late_ = false, is_stop_passed_on_ = false, is_ended_by_us_ = false,
       launcher_was_killed_ = false;
};

}  // namespace athanor
