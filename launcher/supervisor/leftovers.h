// The ranks of an attempt that still run on this machine, found by the invitation in their environment, which no other
// process has.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace athanor {

/// Processes of this network name space (a container's ranks are its own host's) that are ranks and whose
/// ATHANOR_HEARTBEAT is `invitation`.
std::vector<pid_t> ranks_here(const std::string& invitation);

}  // namespace athanor
