// Which cpus and devices the ranks of a job were given, and whether that fits what they run there.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "preflight/finding.h"

namespace athanor {

/// Of one rank.
struct RankPlace {
  std::string host;
  std::vector<int> cpus;  ///< that the scheduler allows it, ascending
  int host_cpus = 1;      ///< that the job may use on this host: of the machine, its control group, its quota
  int threads = 0;        ///< that compute; 0: not known
  std::string device;     ///< which GPU of the host; "": none
};

/// As one text, to gather.
std::string text_of_place(const RankPlace& place);
RankPlace place_of_text(const std::string& text, const std::string& host);

/// `ranks`: all of the job. Warns of a rank with more threads than cpus, of ranks that share cpus too few for both, of
/// ranks that share a GPU, and of a launcher that leaves half of a host or more unused, each with the options that
/// mend it.
Finding judge_binding(std::span<const RankPlace> ranks);

}  // namespace athanor
