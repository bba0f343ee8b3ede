// What heartbeats cost: each rank in each step, and the service with the ranks of a large job.
#pragma once

#include <cstdint>

namespace athanor::watch {

struct RankCost {
  double board_ns = 0;      ///< a step: its beginning, its times, 12 collectives entered and left
  double client_share = 0;  ///< of a core, that the thread of the heartbeats takes at a beat a second
};

/// Medians of about a second of steps, then a client and a service in this process for `seconds`.
RankCost measure_rank_cost(double seconds);

struct ServiceCost {
  int ranks = 0;              ///< that were simulated; fewer than asked for where descriptors did not suffice
  double seconds = 0;         ///< measured, after all had called
  double beats_per_s = 0;     ///< that arrived
  double cpu_share = 0;       ///< of a core, that the service's thread took
  double memory_bytes = 0;    ///< by which this process grew
  double calls_s = 0;         ///< that all ranks took to call and to be let in
  std::uint64_t dropped = 0;  ///< callers and ranks lost: 0 where all is well
};

/// Simulated ranks in a process of their own that beat once a second over the loopback. Forks: call it before this
/// process has threads. Throws DeviceError where no process or connection can be made.
ServiceCost measure_service_cost(int ranks, double seconds);

}  // namespace athanor::watch
