// How fast the network between the hosts of a job is, pair by pair, so that the one bad cable is named.
#pragma once

#include <span>
#include <string>
#include <utility>
#include <vector>

#include "comm/communicator.h"
#include "preflight/finding.h"

namespace athanor {

/// The first rank of each host, ascending.
std::vector<int> first_ranks_of_hosts(const Communicator& communicator);

/// Rounds in which each of `players` (numbered from 0) meets every other once, in disjoint pairs: a round-robin
/// tournament by the circle method.
std::vector<std::vector<std::pair<int, int>>> tournament(int players);

struct LinkSpeed {
  int first = 0, second = 0;  ///< ranks
  double bytes_per_s = 0;     ///< each way, while both send at once
};

/// Measures every pair of `ranks`, all disjoint pairs at once, in about `seconds` in all; a slow link takes as long as
/// 32 KiB need. The same on every rank; other ranks than those wait. Collective. Throws PeerError.
std::vector<LinkSpeed> measure_links(Communicator& communicator, std::span<const int> ranks, double seconds);

/// Warns of pairs slower than half the median; where all of them have a host in common, of that host. `hosts`: by rank.
Finding judge_links(std::span<const LinkSpeed> links, std::span<const std::string> hosts);

}  // namespace athanor
