// Takes the heartbeats of all ranks of a job over TCP, judges them once a second, and tells all ranks when the job must
// end. It lives in the supervisor, or in rank 0 where there is none. One thread; neither MPI nor NCCL is in its way.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "watch/job_picture.h"
#include "watch/judge.h"

namespace athanor::watch {

/// What lets a rank in; new for every attempt of a job.
using Key = std::array<std::uint8_t, 32>;
Key random_key();
/// In a time that does not depend on where they differ.
bool is_same(const Key& a, const Key& b);

/// Where a service is found: what ranks need to call it.
struct Invitation {
  Key key{};
  std::uint16_t port = 0;
  std::vector<std::string> addresses;  ///< IPv4, numeric; those that other hosts may reach first
  bool by_supervisor = false;          ///< not a rank's: the job outlives it
};

/// As one word for an environment variable, and back. Throws UsageError for what is none.
std::string to_text(const Invitation& invitation);
Invitation invitation_from(const std::string& text);

enum class EventKind : std::uint8_t {
  joined,     ///< the last of the ranks has called
  warning,    ///< silence, its end, a straggler
  lost,       ///< ranks whose silence or broken connection ends the job
  stalled,    ///< the watchdog's time is up; `text` is the whole report
  failed,     ///< a rank said good-bye with a code that is neither 0 nor 75
  first_step  ///< the job has begun a step
};

struct Event {
  EventKind kind = EventKind::warning;
  std::vector<int> ranks;
  std::vector<std::string> hosts;  ///< of those ranks
  std::string text;
};

struct ServiceOptions {
  int world_size = 1;
  bool by_supervisor = false;
  JudgeOptions judge;
  double hello_time_s = 5;        ///< a caller that has not said who it is by then is dropped
  std::size_t most_waiting = 64;  ///< callers that have not said who they are
  double gather_time_s = 2;       ///< for the ranks' rings and stacks before the report is written
};

class HeartbeatService {
 public:
  /// Listens at once. `on_event` is called on the service's thread and must not block. Throws PeerError where no port
  /// can be had.
  HeartbeatService(const ServiceOptions& options, std::function<void(const Event&)> on_event);
  /// Says good-bye to the ranks that are left.
  ~HeartbeatService();
  HeartbeatService(const HeartbeatService&) = delete;
  HeartbeatService& operator=(const HeartbeatService&) = delete;

  Invitation invitation() const;
  /// Copy of what is known now. Any thread.
  JobPicture picture() const;

  /// All ranks, those that call later too, are asked to stop and save, as by a signal. Any thread.
  void request_stop();
  /// All ranks, those that call later too, end with `code` and `why`, within seconds. Any thread.
  void end_job(ExitCode code, const std::string& why);
  std::uint64_t beats() const;  ///< that have arrived
  /// Processor time that the service's thread has taken.
  double cpu_seconds() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace athanor::watch
