// `athanor check --deep`: what only the ranks together can find out, under the launcher of the job. Each check has a
// file of its own that measures and one pure function that judges; here they are called in order.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "preflight/check.h"
#include "train/hardware.h"
#include "train/session.h"

namespace athanor {

/// What the checks before these found out on this rank; where one failed, its part is missing.
struct DeepSubject {
  const RunData* data = nullptr;
  std::filesystem::path run;           ///< run folder; empty: not known
  int threads = 0;                     ///< that compute on this rank; 0: not known
  std::optional<MemoryPlan> memory;    ///< of this rank
  std::uint64_t checkpoint_bytes = 0;  ///< 0: not known
  const Backend* backend = nullptr;    ///< of the recipe's device
};

/// A line for each check, as many on every rank, also where one cannot be made. Collective. Throws PeerError.
std::vector<CheckLine> check_deeply(const DeepSubject& subject, const Hardware& hardware, Communicator& communicator);

}  // namespace athanor
