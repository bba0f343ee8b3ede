// What of an attempt still runs on this machine, found by the invitation in its environment, which no other process
// has.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace athanor {

/// Processes of this network name space (a container's ranks are its own host's) that are ranks and whose
/// ATHANOR_HEARTBEAT is `invitation`.
std::vector<pid_t> ranks_here(const std::string& invitation);

/// Ranks and all others: the launcher, the agents by which it reaches other hosts.
std::vector<pid_t> processes_here(const std::string& invitation);

}  // namespace athanor
