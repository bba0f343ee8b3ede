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
  /// Starts the ranks; `ranks.invitation` is filled in. `on_event` is called on the supervisor's thread. Throws
  /// UsageError where the launcher cannot be started, PeerError where no port can be had.
  Attempt(boost::asio::io_context& io, const Place& place, const Surroundings& surroundings, RanksToStart ranks,
          std::function<void(const watch::Event&)> on_event);
  ~Attempt();
  Attempt(const Attempt&) = delete;
  Attempt& operator=(const Attempt&) = delete;

  /// Until the launcher and all ranks are gone.
  AttemptEnd run(const StopRequests& stop);

  std::shared_ptr<const watch::HeartbeatService> service() const { return service_; }
  bool has_joined() const { return has_joined_; }  ///< all ranks
  /// When it was known that the attempt is over; none: it ended well.
  std::optional<SteadyTime> detected() const { return detected_; }
  /// Whether the launcher itself was ended by a signal that was not ours: no rank is to blame.
  bool launcher_was_killed() const { return launcher_was_killed_; }

 private:
  void handle(const watch::Event& event);
  bool have_ranks_left();
  bool all_said_good_bye() const;
  void note_end_of_launcher();
  void pass_on(const StopRequests& stop);
  void wind_up(const StopRequests& stop);
  void end_launcher();

  boost::asio::io_context& io_;
  const Place& place_;
  RanksToStart ranks_;
  std::function<void(const watch::Event&)> on_event_;
  std::shared_ptr<bool> is_alive_ = std::make_shared<bool>(true);  ///< for events that are still on their way
  std::shared_ptr<watch::HeartbeatService> service_;
  std::unique_ptr<Child> child_;
  std::optional<SteadyTime> detected_;
  bool has_joined_ = false, is_stop_passed_on_ = false, is_ended_by_us_ = false, launcher_was_killed_ = false;
};

}  // namespace athanor
