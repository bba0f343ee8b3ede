// The heartbeats of a job's ranks, as its world sets them up: who takes them is agreed on when the ranks meet; from
// then on neither MPI nor NCCL is in their way.
#pragma once

#include <memory>

#include "comm/communicator.h"

namespace athanor {

/// Whether this process was started by somebody who hears its heartbeats and starts the job again (ATHANOR_HEARTBEAT).
bool has_supervisor();

class Heartbeats {
 public:
  /// Collective. The supervisor takes them where the environment says that there is one (ATHANOR_HEARTBEAT), else rank
  /// 0. A world of one without a supervisor has none.
  explicit Heartbeats(Communicator& world);
  ~Heartbeats();
  Heartbeats(const Heartbeats&) = delete;
  Heartbeats& operator=(const Heartbeats&) = delete;

  /// nullptr: nobody takes them.
  watch::HeartbeatClient* client();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace athanor
