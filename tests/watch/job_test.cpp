// The service and its clients over loopback: what one says, the others hear.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/watch/job.h"

namespace athanor::watch {
namespace {

using testing::comes_true;
using ::testing::HasSubstr;
using testing::Job;
using testing::quick_service;

TEST(HeartbeatJob, RanksJoinAndTheirBeatsArrive) {
  Job job(quick_service(3));
  job.activity(1).set_phase(Phase::training);
  job.activity(1).begin_step(7);
  job.client(1).set_crew(4, 2);
  ASSERT_TRUE(comes_true([&] { return job.picture(1).activity.step == 7 && job.picture(1).shards == 2; }));
  const RankPicture seen = job.picture(1);
  EXPECT_EQ(seen.host, "node0");
  EXPECT_EQ(seen.cpus, "0-1");
  EXPECT_EQ(seen.pid, getpid());
  EXPECT_EQ(seen.threads, 4);
  EXPECT_EQ(seen.presence, Presence::connected);
  EXPECT_EQ(seen.activity.phase, Phase::training);
  EXPECT_TRUE(comes_true([&] { return job.picture(1).round_trip_s > 0; }));
  EXPECT_EQ(job.events.wait_for(EventKind::first_step).ranks, std::vector<int>{1});
  EXPECT_FALSE(job.client(1).verdict());
}

TEST(HeartbeatJob, WhatRank0SaysOfTheRunArrives) {
  Job job(quick_service(2));
  RunAbout about;
  about.name = "fashion";
  about.total_steps = 700;
  job.client(0).set_about(about);
  RunNews news;
  news.step = 12;
  news.loss = std::numeric_limits<double>::infinity();
  job.client(0).set_news(news);
  ASSERT_TRUE(comes_true([&] { return job.service->picture().news.step == 12; }));
  EXPECT_EQ(job.service->picture().about.name, "fashion");
  EXPECT_EQ(job.service->picture().about.total_steps, 700);
}

TEST(HeartbeatJob, ABrokenConnectionIsALostRankToAllOthers) {
  Job job(quick_service(3));
  job.activity(2).set_phase(Phase::training);
  job.activity(2).begin_step(57);
  job.activity(2).enter("gradients", 0, 57, 4096);
  ASSERT_TRUE(comes_true([&] { return job.picture(2).activity.step == 57; }));
  job.client(2).keep_silent();
  job.ranks[2].reset();
  for (const int rank : {0, 1}) {
    ASSERT_TRUE(comes_true([&] { return job.client(rank).verdict().has_value(); }));
    const Failure failure = *job.client(rank).verdict();
    EXPECT_EQ(failure.code, ExitCode::peer);
    EXPECT_THAT(failure.message, HasSubstr("rank 2 on node1 (process "));
    EXPECT_THAT(failure.message,
                HasSubstr("is lost: its connection broke while it was training step 57, in 'gradients'"));
    EXPECT_TRUE(job.client(rank).is_told_to_all());
  }
  const Event event = job.events.wait_for(EventKind::lost);
  EXPECT_EQ(event.ranks, std::vector<int>{2});
  EXPECT_EQ(event.hosts, std::vector<std::string>{"node1"});
  EXPECT_EQ(job.picture(2).presence, Presence::lost);
}

TEST(HeartbeatJob, AGoodByeIsNoLoss) {
  Job job(quick_service(2));
  job.ranks[1].reset();
  ASSERT_TRUE(comes_true([&] { return job.picture(1).presence == Presence::left; }));
  EXPECT_EQ(job.picture(1).exit_code, 0);
  job.ranks[0].reset();
  ASSERT_TRUE(comes_true([&] { return job.picture(0).presence == Presence::left; }));
  EXPECT_EQ(job.events.count(EventKind::lost), 0);
  EXPECT_EQ(job.events.count(EventKind::failed), 0);
}

TEST(HeartbeatJob, ARequestToStopReachesAllRanksAndThoseThatAskLater) {
  Job job(quick_service(2));
  std::atomic<int> stops{0};
  job.client(0).on_stop([&] { ++stops; });
  job.service->request_stop();
  ASSERT_TRUE(comes_true([&] { return stops == 1; }));
  job.client(1).on_stop([&] { ++stops; });
  EXPECT_TRUE(comes_true([&] { return stops == 2; }));
  EXPECT_FALSE(job.client(0).verdict());
}

TEST(HeartbeatJob, AnEndOrderedFromOutsideReachesAllRanks) {
  Job job(quick_service(2));
  job.service->end_job(ExitCode::storage, "the run folder is gone");
  for (const int rank : {0, 1}) {
    ASSERT_TRUE(comes_true([&] { return job.client(rank).verdict().has_value(); }));
    EXPECT_EQ(job.client(rank).verdict()->code, ExitCode::storage);
    EXPECT_EQ(job.client(rank).verdict()->message, "the run folder is gone");
  }
}

TEST(HeartbeatJob, AFailedRankIsNamedWithItsWords) {
  Job job(quick_service(2));
  job.client(1).set_outcome({ExitCode::data, "cannot read train-images"});
  job.client(1).say_good_bye();
  const Event event = job.events.wait_for(EventKind::failed);
  EXPECT_EQ(event.ranks, std::vector<int>{1});
  EXPECT_THAT(event.text, HasSubstr("failed: cannot read train-images"));
  EXPECT_EQ(job.picture(1).exit_code, 3);
}

TEST(HeartbeatJob, WithoutItsRankTheServiceIsGone) {
  Job job(quick_service(2, false));
  job.client(0).keep_silent();
  // As far as rank 1 can tell, the process of rank 0 ends: the service too.
  job.service.reset();
  EXPECT_FALSE(job.client(1).verdict()) << "a good-bye of the service is a normal end";
}

}  // namespace
}  // namespace athanor::watch
