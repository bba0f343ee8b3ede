// Commands that the ranks of a job run together. Every rank makes the same calls; the first one does the talking.
#pragma once

#include <functional>

#include "comm/communicator.h"

namespace athanor {

/// Makes the ranks' communicator and runs `act` with it; all ranks must run the same `command`. A failure of one rank
/// alone is printed with its name and ends them all; one that all ranks have alike passes, for main to report on the
/// first rank.
void run_on_ranks(const char* command, const std::function<void(Communicator&)>& act);

/// For commands that one process does: `act` runs on the first rank, the others wait.
void run_on_first_rank(const char* command, const std::function<void(Communicator&)>& act);

/// Whether this process does the talking: rank 0, or a process that has not joined others.
bool is_first_rank();

/// Finds out which rank this is without a command, for a command line that cannot be read.
void join_ranks();

}  // namespace athanor
