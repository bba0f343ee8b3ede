// The service and its clients over loopback: what one says, the others hear.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <sstream>

#include "tests/watch/job.h"

namespace athanor::watch {
namespace {

using testing::comes_true;
using ::testing::HasSubstr;
using testing::Job;
using ::testing::Not;
using testing::quick_service;

/// The sockets of this network namespace that have the port, at one of their ends.
std::vector<std::string> inodes_of_port(std::uint16_t port) {
  std::vector<std::string> inodes;
  const std::string wanted = fmt::format(":{:04X}", port);
  std::ifstream table("/proc/net/tcp");
  for (std::string line; std::getline(table, line);) {
    std::istringstream words(line);
    std::vector<std::string> fields{std::istream_iterator<std::string>(words), {}};
    if (fields.size() > 9 && (fields[1].ends_with(wanted) || fields[2].ends_with(wanted))) inodes.push_back(fields[9]);
  }
  return inodes;
}

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
    EXPECT_THAT(failure.message, HasSubstr("is lost: its connection broke; when last heard, "));
    EXPECT_THAT(failure.message, HasSubstr(" s before, it was training step 57, in 'gradients'"));
    EXPECT_TRUE(job.client(rank).is_told_to_all());
  }
  const Event event = job.events.wait_for(EventKind::lost);
  EXPECT_EQ(event.ranks, std::vector<int>{2});
  EXPECT_EQ(event.hosts, std::vector<std::string>{"node1"});
  EXPECT_THAT(event.text, Not(HasSubstr("Of the others"))) << "what they were at then says nothing now";
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

TEST(HeartbeatJob, TheEndOfTheServiceIsNoLoss) {
  Job job(quick_service(2, false));
  job.service.reset();
  // Its good-bye has been sent; what follows it on the connection, its end, would be the loss.
  EXPECT_FALSE(comes_true([&] { return job.client(1).verdict().has_value(); }, 0.3));
}

TEST(HeartbeatJob, AFailureThatARankOnlyHeardOfIsNotTheFirstThingToBlame) {
  Job job(quick_service(3));
  job.client(0).set_outcome({ExitCode::peer, "rank 2 does not answer"});
  job.ranks[0].reset();
  job.client(2).keep_silent();
  job.ranks[2].reset();
  EXPECT_EQ(job.events.wait_for(EventKind::lost).ranks, std::vector<int>{2});
  ASSERT_TRUE(comes_true([&] { return job.client(1).verdict().has_value(); }));
  EXPECT_THAT(job.client(1).verdict()->message, HasSubstr("rank 2 on node1"));
  EXPECT_EQ(job.events.count(EventKind::failed), 0);
}

TEST(HeartbeatJob, AStandstillIsReportedWithWhoIsBehindAndWhereItIs) {
  ServiceOptions options = quick_service(3);
  options.judge.shortest_timeout_s = 0.5;
  options.judge.timeout_steps = 0;
  options.judge.silence_warning_s = 0.3;
  options.judge.silence_lost_s = 60;
  Job job(options);
  std::string noted;
  std::mutex mutex;
  job.client(0).on_note([&](const std::string& note) {
    const std::lock_guard lock(mutex);
    noted = note;
  });
  for (int rank = 0; rank < 3; ++rank) {
    Activity& activity = job.activity(rank);
    activity.set_phase(Phase::training);
    activity.begin_step(57);
    activity.note_step(0.01, 0.01, 0, 0);
    activity.leave(activity.enter("agree", 0, 56, 4));
    // The newest call of rank 1 is in another group, in which nobody waits for anybody.
    if (rank == 1) activity.leave(activity.enter("save", 1, 9, 8));
    if (rank != 1) activity.enter("gradients", 0, 57, 4096);
  }
  const Event event = job.events.wait_for(EventKind::stalled);
  EXPECT_EQ(event.ranks, std::vector<int>{1});
  EXPECT_EQ(event.hosts, std::vector<std::string>{"node0"});
  EXPECT_THAT(event.text, HasSubstr("the job has made no progress for "));
  EXPECT_THAT(event.text, HasSubstr("rank 1 on node0 (process "));
  EXPECT_THAT(event.text, HasSubstr("has not entered 'gradients' (call 57), in which ranks 0 and 2 wait."));
  EXPECT_THAT(event.text, HasSubstr("Of the others, ranks 0 and 2 were training step 57, in 'gradients'."));
  EXPECT_THAT(event.text, HasSubstr("Newest collectives of rank 1: 'save' (call 9 of group 1, 8 bytes) in "));
  EXPECT_THAT(event.text, HasSubstr("\nstacks of rank 1 on node0"));
  for (const int rank : {0, 1, 2}) {
    ASSERT_TRUE(comes_true([&] { return job.client(rank).verdict().has_value(); }));
    EXPECT_EQ(job.client(rank).verdict()->code, ExitCode::peer);
    EXPECT_EQ(job.client(rank).verdict()->message.find('\n'), std::string::npos) << "one sentence";
  }
  EXPECT_TRUE(comes_true([&] {
    const std::lock_guard lock(mutex);
    return noted == event.text;
  })) << "the log of rank 0 has it all";
}

TEST(HeartbeatJob, WhereNobodyAnswersAClientGoesWithoutAndSaysSoOnce) {
  Invitation nowhere;
  nowhere.addresses = {"127.0.0.1"};
  {
    const HeartbeatService service(quick_service(1), {});
    nowhere.port = service.invitation().port;
  }
  const Activity activity;
  ClientOptions options = testing::quick_client(0, 1);
  options.connect_time_s = 0.2;
  HeartbeatClient client(nowhere, options, activity);
  std::mutex mutex;
  std::vector<std::string> notes;
  client.on_note([&](const std::string& note) {
    const std::lock_guard lock(mutex);
    notes.push_back(note);
  });
  const auto count = [&] {
    const std::lock_guard lock(mutex);
    return notes.size();
  };
  ASSERT_TRUE(comes_true([&] { return count() == 1; }));
  EXPECT_THAT(notes[0], HasSubstr("rank 0 on node0 does not reach rank 0 over TCP (127.0.0.1, port "));
  EXPECT_FALSE(client.verdict());
  client.say_good_bye();
  EXPECT_EQ(count(), 1U);
}

TEST(HeartbeatJob, NoSocketIsLeftToAProgramThatIsStarted) {
  const Job job(quick_service(2));
  const std::vector<std::string> inodes = inodes_of_port(job.service->invitation().port);
  EXPECT_EQ(inodes.size(), 5U) << "one that listens, and both ends of two connections";
  FILE* const listing = popen("ls -l /proc/self/fd", "r");
  ASSERT_NE(listing, nullptr);
  std::string text;
  for (int letter = fgetc(listing); letter != EOF; letter = fgetc(listing)) text += static_cast<char>(letter);
  EXPECT_EQ(pclose(listing), 0);
  EXPECT_THAT(text, HasSubstr("/proc/"));
  for (const std::string& inode : inodes) {
    EXPECT_THAT(text, Not(HasSubstr("socket:[" + inode + "]")));
  }
}

TEST(HeartbeatJob, AServiceWithAnotherKeyIsNotTheOne) {
  const HeartbeatService service(quick_service(1), {});
  Invitation wrong = testing::here(service.invitation());
  wrong.key[0] ^= 1;
  const Activity activity;
  ClientOptions options = testing::quick_client(0, 1);
  options.connect_time_s = 0.3;
  const HeartbeatClient client(wrong, options, activity);
  EXPECT_FALSE(client.verdict());
  EXPECT_GE(service.picture().dropped.wrong_key, 1U);
  EXPECT_EQ(service.picture().ranks[0].presence, Presence::expected);
}

TEST(HeartbeatJob, AClientTriesAllAddresses) {
  const HeartbeatService service(quick_service(1), {});
  Invitation invitation = service.invitation();
  // The first is of a network that is nobody's (RFC 5737).
  invitation.addresses = {"192.0.2.1", "127.0.0.1"};
  const Activity activity;
  const HeartbeatClient client(invitation, testing::quick_client(0, 1), activity);
  EXPECT_TRUE(comes_true([&] { return service.picture().ranks[0].presence == Presence::connected; }));
}

}  // namespace
}  // namespace athanor::watch
