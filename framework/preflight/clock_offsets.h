// How far the clocks of the hosts are apart. Nothing that trains depends on it; who reads two hosts' logs side by side
// does.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "preflight/finding.h"

namespace athanor {

struct ClockOffset {
  int rank = 0;
  double seconds = 0;      ///< its clock − rank 0's, at the same moment
  double uncertainty = 0;  ///< half the quickest round trip
};

/// Of the ranks given against rank 0, as Cristian (1989) does: the other's time is that of half the round trip. The
/// same on every rank. Collective. Throws PeerError.
std::vector<ClockOffset> measure_clocks(Communicator& communicator, std::span<const int> ranks);

/// Warns where two clocks are more than a second apart. `hosts`: by rank.
Finding judge_clocks(std::span<const ClockOffset> offsets, std::span<const std::string> hosts);

}  // namespace athanor
