// Who holds up a job that does not get on. Ranks wait for each other in collectives; the one to name is the one that
// the others wait for, which is never the one that waits.
#pragma once

#include <string>
#include <vector>

#include "watch/job_picture.h"

namespace athanor::watch {

struct Blame {
  std::vector<int> ranks;  ///< empty: nobody is behind the others
  std::string text;        ///< who, what, since when, and what the others wait for
};

/// `calls`: what is known of each rank's collectives, by rank, oldest first; at least its newest one.
Blame find_blame(const JobPicture& picture, const std::vector<std::vector<Collective>>& calls);
/// From the newest calls alone.
Blame find_blame(const JobPicture& picture);

}  // namespace athanor::watch
