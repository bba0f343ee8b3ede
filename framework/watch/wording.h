// How messages name ranks, and what they say that a rank is doing.
#pragma once

#include <string>
#include <vector>

#include "watch/job_picture.h"

namespace athanor::watch {

/// "rank 2 on node3 (process 4711)"; for one that has not called: "rank 2".
std::string name_of(const RankPicture& rank);
/// "rank 2", "ranks 0-3 and 7"; sorted.
std::string list_of(std::vector<int> ranks);
/// "rank 2 on node3 (process 4711)", "ranks 0-1 on node1 and rank 2 on node3": at most four hosts by name.
std::string names_of(const JobPicture& picture, const std::vector<int>& ranks);
/// "training step 57, in 'gradients'"; empty where nothing is known.
std::string doing(const ActivitySnapshot& activity);
/// "; when last heard, 0.6 s before, it was training step 57, in 'gradients'": what a heartbeat said may be long past
/// where steps are fast. `with_age`: with the seconds. Of several ranks ("they were") only where they were at the same.
/// Empty where nothing is known.
std::string when_last_heard(const JobPicture& picture, const std::vector<int>& ranks, bool with_age);
/// "'gradients'".
std::string name_of(const Collective& call);
/// "0.4 s", "12 s", "3.5 min".
std::string duration_text(double seconds);

}  // namespace athanor::watch
