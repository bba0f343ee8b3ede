// Pictures of a job as the judge gets them.
#pragma once

#include <cstring>
#include <string>

#include "watch/job_picture.h"

namespace athanor::watch::testing {

inline Collective call(const char* name, std::uint64_t sequence, bool is_open, std::uint64_t bytes = 4096,
                       std::uint32_t group = 0) {
  Collective made;
  std::strncpy(made.name.data(), name, made.name.size() - 1);
  made.group = group;
  made.sequence = sequence;
  made.bytes = bytes;
  made.begun_ns = 1000;
  made.ended_ns = is_open ? 0 : 2000;
  return made;
}

/// Four ranks on two hosts, all training step 57 and heard of.
inline JobPicture training_job(int ranks = 4) {
  JobPicture picture;
  for (int i = 0; i < ranks; ++i) {
    RankPicture rank;
    rank.rank = i;
    rank.host = "node" + std::to_string(i / 2);
    rank.pid = 100 + i;
    rank.shards = 1;
    rank.presence = Presence::connected;
    rank.activity.phase = Phase::training;
    rank.activity.step = 57;
    rank.activity.newest = call("gradients", 57, true);
    rank.step_s = 0.010;
    rank.compute_s = 0.008;
    rank.data_wait_s = 0.0001;
    rank.comm_wait_s = 0.0019;
    rank.round_trip_s = 0.0002;
    picture.ranks.push_back(rank);
  }
  return picture;
}

inline void stall(JobPicture& picture, double seconds) {
  for (RankPicture& rank : picture.ranks) rank.stalled_s = seconds;
}

}  // namespace athanor::watch::testing
