// A rank's end of the heartbeats: a thread that calls the service, sends a beat a second, and hears what it says.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/failure.h"
#include "watch/heartbeat_service.h"

namespace athanor::watch {

struct ClientOptions {
  int rank = 0, world_size = 1;
  std::string host;
  std::string cpus;  ///< that the rank may use: "0-3"
  double beat_s = 1;
  double connect_time_s = 5;
  /// From an order to end until the process is ended from here, where its own threads do not get to it.
  double end_time_s = 5;
  double service_silence_s = 10;
};

class HeartbeatClient {
 public:
  /// Calls the service, and returns when it has answered, or after connect_time_s: where it cannot be reached, the rank
  /// says so once and goes on without (deadlines of calls still hold), while its thread goes on calling. `activity`
  /// outlives the client.
  HeartbeatClient(const Invitation& invitation, const ClientOptions& options, const Activity& activity);
  /// Says good-bye with the outcome, unless keep_silent().
  ~HeartbeatClient();
  HeartbeatClient(const HeartbeatClient&) = delete;
  HeartbeatClient& operator=(const HeartbeatClient&) = delete;

  /// Why the job must end: the service said so, or is lost itself while this rank gets no further. Never waits; any
  /// thread. A call that waits for other ranks asks this.
  std::optional<Failure> verdict() const;
  /// Whether the verdict is the service's, which tells it to all ranks: then one of them need say it.
  bool is_told_to_all() const;
  /// Seconds without progress after which the job is stalled, as the service last said; 0: it has not yet.
  double watchdog_timeout_s() const;

  /// Rank 0: what the service should know of the run.
  void set_about(const RunAbout& about);
  void set_news(const RunNews& news);
  /// What this rank computes with, and how many shards of the batch it runs.
  void set_crew(int threads, int shards);
  /// What is called on the client's thread when the service asks to stop and save; at once where it did already.
  void on_stop(std::function<void()> stop);

  /// What is called on the client's thread with what is to be said, also by the service for the run's log (rank 0);
  /// must not block. Without it nothing is.
  void on_note(std::function<void(const std::string&)> note);

  /// Processor time that the client's thread has taken.
  double cpu_seconds() const;

  /// What the good-bye will say.
  void set_outcome(const Failure& outcome);
  /// Says good-bye now, and waits shortly until it is sent: before the process ends without destructors.
  void say_good_bye();
  /// From here on the process ends without a good-bye: the others are to know.
  void keep_silent();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace athanor::watch
