// How many cores a rank may count on. Ranks of one host may be bound to cores of their own, or may all be allowed on
// all of them; a core that several ranks may use is shared out among them.
#pragma once

#include <span>
#include <vector>

#include "comm/communicator.h"
#include "train/hardware.h"

namespace athanor {

/// `allowed`: the cpus that each rank of one host may use. Of each rank: the sum over its cpus of 1 ÷ (ranks that may
/// use it).
std::vector<double> core_shares(std::span<const std::vector<int>> allowed);

/// Whole cores of a share, at least 1.
int whole_cores(double share);

/// Fills in `cores` and `first_rank_cores` of this rank's hardware, where control groups' quotas count too. Collective.
void share_cores(Hardware& hardware, Communicator& communicator);

}  // namespace athanor
