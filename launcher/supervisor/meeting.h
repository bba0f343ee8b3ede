// Whether the ranks of an attempt come to work together in time: a host that never answers, a rank that stands still at
// its start. Plain functions; nobody has called the heartbeat service yet who could be judged.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "launcher/supervisor/host_list.h"
#include "watch/job_picture.h"

namespace athanor {

/// Seconds from the launcher's start until all ranks must have called: room for a launcher that reaches many hosts.
double default_start_timeout_s(int ranks);

/// Who has not called, and what to say of it.
struct Missing {
  std::vector<int> ranks;
  /// Theirs, where others have called; none where nobody has: ranks meet all or not at all, so that whoever is to blame
  /// cannot be told from those that wait for it.
  std::vector<std::string> hosts;
  std::string text;  ///< "rank 3 on node2 has not called within 15 s"
};

/// `hosts`: with as many slots as each gets ranks, which fill them in order. `waited_s`: since the launcher's start.
Missing missing_ranks(watch::JobPicture picture, std::span<const HostSlots> hosts, double waited_s);

}  // namespace athanor
