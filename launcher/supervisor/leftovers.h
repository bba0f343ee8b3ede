// The ranks of an attempt that still run on this machine, found by the invitation in their environment, which no other
// process has.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace athanor {

/// Processes of this network name space (a container's ranks are its own host's) whose ATHANOR_HEARTBEAT is
/// `invitation`; `launcher` is left out.
std::vector<pid_t> ranks_here(const std::string& invitation, pid_t launcher);

/// Those of `pids` that still run with that invitation; zombies do not.
std::vector<pid_t> still_running(const std::vector<pid_t>& pids, const std::string& invitation);

}  // namespace athanor
