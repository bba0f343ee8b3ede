// Ranks that are threads of one test, each with a communicator of its own.
#pragma once

#include <functional>

#include "comm/communicator.h"

namespace athanor::testing {

/// Runs `rank_main` on `ranks` threads. When one throws, the others' calls throw PeerError; the first exception is
/// thrown again when all have ended. A call that waits longer than `timeout_s` throws PeerError.
void run_ranks(int ranks, const std::function<void(Communicator& communicator)>& rank_main, double timeout_s = 30);

}  // namespace athanor::testing
