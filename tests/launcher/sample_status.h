// A job's status with something in every field, as a supervisor could have it.
#pragma once

#include <string_view>

#include "launcher/supervisor/job_status.h"

namespace athanor::launcher_test {

inline watch::RankPicture sample_rank(int rank, const char* host) {
  watch::RankPicture picture;
  picture.rank = rank;
  picture.host = host;
  picture.pid = 4700 + rank;
  picture.cpus = "0-3";
  picture.threads = 2;
  picture.shards = 2;
  picture.presence = watch::Presence::connected;
  picture.activity.phase = watch::Phase::training;
  picture.activity.step = 1235;
  picture.activity.progress = 99'000 + static_cast<unsigned>(rank);
  constexpr std::string_view kName = "gradients";
  kName.copy(picture.activity.newest.name.data(), kName.size());
  picture.activity.newest.group = 1;
  picture.activity.newest.sequence = 7408;
  picture.activity.newest.bytes = 1'078'888;
  picture.activity.newest.begun_ns = 52'000'000'000;
  picture.activity.times = {1234, 12.5, 9.5, 0.25, 2.75};
  picture.beat_age_s = 0.5;
  picture.stalled_s = 0.125;
  picture.step_s = 0.0101;
  picture.compute_s = 0.0078;
  picture.data_wait_s = 0.0002;
  picture.comm_wait_s = 0.0021;
  picture.round_trip_s = 0.0003;
  return picture;
}

inline JobStatus sample_status() {
  JobStatus status;
  status.state = "running";
  status.launcher = "mpirun";
  status.hosts = {"node1", "node2"};
  status.left_out_hosts = {"node3"};
  status.attempt = 3;
  status.restarts = 2;
  status.max_restarts = 20;
  status.uptime_s = 1200;
  status.last_restart_s = 4.25;
  status.training_s = 1150;
  status.interval_advice = "checkpoint.every_steps=240 (every 2.4 s) would lose least";
  status.faults = {{"2026-11-27T03:08:00Z", 1, 400, "lost", {"node3"}, "rank 3 on node3 is silent for 10 s", 6},
                   {"2026-11-27T03:18:00Z", 2, 900, "failed", {"node3"}, "rank 3 on node3 said \"no memory\"", 5}};
  status.picture.about = {"fashion-resnet20", "/runs/fashion", 4680, 468, 128, 8, 468, 0};
  status.picture.news = {1234, 157'952, 3, 0.4375, 0.1, 12'650, 0.875, 936, 0.012, 0.25, 1};
  status.picture.ranks = {sample_rank(0, "node1"), sample_rank(1, "node1"), sample_rank(2, "node2"),
                          sample_rank(3, "node2")};
  status.picture.ranks[3].presence = watch::Presence::silent;
  status.picture.ranks[3].beat_age_s = 4;
  status.picture.dropped = {1, 2, 3, 4, 5};
  status.picture.watchdog_timeout_s = 30;
  return status;
}

}  // namespace athanor::launcher_test
