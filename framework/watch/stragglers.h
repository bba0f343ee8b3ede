// Ranks that hold up the others without standing still: whose computing, data or network is slow.
#pragma once

#include <string>
#include <vector>

#include "watch/job_picture.h"
#include "watch/judge.h"

namespace athanor::watch {

enum class Slowness : std::uint8_t { none, compute, data, network };

struct Slow {
  Slowness what = Slowness::none;
  std::string text;  ///< "rank 2 on node3 (process 4711) is slow: …"
};

/// Of each rank now, by rank. A rank's time is compared by shard, for some have one more than others, and altogether,
/// for some run theirs side by side: who is slow in one of the two ways only holds up nobody.
std::vector<Slow> find_slow(const JobPicture& picture, const JudgeOptions& options);

}  // namespace athanor::watch
