// What happens when processes are killed and stopped: real ones, over loopback, with shortened times.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fmt/format.h>

#include "tests/watch/forked_rank.h"

namespace athanor::watch {
namespace {

using testing::ForkedJob;
using testing::ForkedProcess;
using ::testing::HasSubstr;
using testing::here;
using testing::Pipe;
using testing::quick_client;
using testing::quick_service;

TEST(Processes, AKilledRankIsKnownToAllOthersWithinASecond) {
  ForkedJob job(quick_service(3));
  const auto start = std::chrono::steady_clock::now();
  job.rank(1).send(SIGKILL);
  for (const int rank : {0, 2}) {
    const std::string verdict = job.rank(rank).hear();
    EXPECT_THAT(verdict, HasSubstr(fmt::format("rank 1 on node0 (process {}) is lost: its connection broke; when last "
                                               "heard, ",
                                               job.rank(1).pid())));
  }
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(1));
  EXPECT_EQ(job.rank(0).wait(), 6);
  EXPECT_EQ(job.rank(2).wait(), 6);
  EXPECT_EQ(job.events.wait_for(EventKind::lost).ranks, std::vector<int>{1});
}

TEST(Processes, AStoppedRankIsSilentAndComesBack) {
  ServiceOptions options = quick_service(2);
  options.judge.silence_warning_s = 0.4;
  options.judge.silence_lost_s = 60;
  ForkedJob job(options);
  job.rank(1).send(SIGSTOP);
  const Event silent = job.events.wait_for(EventKind::warning);
  EXPECT_EQ(silent.ranks, std::vector<int>{1});
  EXPECT_THAT(silent.text, HasSubstr("is silent: no heartbeat for 0."));
  job.rank(1).send(SIGCONT);
  EXPECT_TRUE(testing::comes_true([&] { return job.events.count(EventKind::warning) == 2; }));
  EXPECT_TRUE(testing::comes_true([&] { return job.service->picture().ranks[1].presence == Presence::connected; }));
  EXPECT_EQ(job.events.count(EventKind::lost), 0);
}

TEST(Processes, ARankThatStaysStoppedIsLost) {
  ServiceOptions options = quick_service(2);
  options.judge.silence_warning_s = 0.3;
  options.judge.silence_lost_s = 1;
  ForkedJob job(options);
  job.rank(1).send(SIGSTOP);
  EXPECT_THAT(job.rank(0).hear(), HasSubstr("is lost: no heartbeat for 1."));
  EXPECT_EQ(job.rank(0).wait(), 6);
  EXPECT_EQ(job.events.wait_for(EventKind::lost).ranks, std::vector<int>{1});
}

TEST(Processes, WhenTheRankOfTheServiceIsKilledTheOthersKnowItByThemselves) {
  ForkedProcess first([](const Pipe& in, const Pipe& out) {
    HeartbeatService service(quick_service(2, false), {});
    out.say(to_text(service.invitation()));
    in.hear(1000);
    return 0;
  });
  ForkedProcess second(
      [](const Pipe& in, const Pipe& out) { return testing::train_until_verdict(quick_client(1, 2), in, out); });
  second.say(first.hear());
  ASSERT_EQ(second.hear(), "joined");
  first.send(SIGKILL);
  EXPECT_THAT(second.hear(), HasSubstr("is gone: its connection to rank 1 on node0 broke, which was training step"));
  EXPECT_EQ(second.wait(), 6);
}

TEST(Processes, WhenTheRankOfTheServiceIsStoppedTheOthersKnowItByThemselves) {
  ForkedProcess first([](const Pipe& in, const Pipe& out) {
    HeartbeatService service(quick_service(2, false), {});
    out.say(to_text(service.invitation()));
    in.hear(1000);
    return 0;
  });
  ForkedProcess second([](const Pipe& in, const Pipe& out) {
    ClientOptions options = quick_client(1, 2);
    options.service_silence_s = 0.5;
    return testing::train_until_verdict(options, in, out);
  });
  second.say(first.hear());
  ASSERT_EQ(second.hear(), "joined");
  first.send(SIGSTOP);
  EXPECT_THAT(second.hear(), HasSubstr("has said nothing to rank 1 on node0 for "));
  EXPECT_EQ(second.wait(), 6);
}

/// A supervisor's service with a watchdog of a second, until it is told to end.
int supervise(const Pipe& in, const Pipe& out) {
  ServiceOptions options = quick_service(1);
  options.judge.shortest_timeout_s = 1;
  options.judge.silence_warning_s = 0.3;
  HeartbeatService service(options, [&](const Event& event) {
    if (event.kind == EventKind::lost || event.kind == EventKind::stalled) out.say(event.text);
  });
  out.say(to_text(service.invitation()));
  in.hear(1000);
  return 0;
}

TEST(Processes, WithoutItsSupervisorARankGoesOn) {
  ForkedProcess supervisor(supervise);
  ClientOptions options = quick_client(0, 1);
  options.service_silence_s = 0.3;
  testing::Rank rank(here(invitation_from(supervisor.hear())), options);
  Pipe notes;
  rank.client->on_note([&](const std::string& note) { notes.say(note); });
  rank.activity->set_phase(Phase::training);
  supervisor.send(SIGSTOP);
  EXPECT_THAT(notes.hear(), HasSubstr("the supervisor on "));
  EXPECT_FALSE(rank.client->verdict());
  supervisor.send(SIGKILL);
  EXPECT_THAT(notes.hear(), HasSubstr("is gone: its heartbeats' connection broke; the run goes on"));
  EXPECT_FALSE(rank.client->verdict());
}

/// A step, and then until the watchdog's time is known: with the second pulse, the judge has looked by then.
void train_while_the_watchdog_looks(testing::Rank& rank) {
  rank.activity->set_phase(Phase::training);
  rank.activity->note_step(0.01, 0.01, 0, 0);
  ASSERT_TRUE(testing::comes_true([&] {
    rank.activity->note_progress();
    return rank.client->watchdog_timeout_s() > 0;
  }));
}

TEST(Processes, WithAStoppedSupervisorARankMayWaitForDisksButNotForOthersForEver) {
  ForkedProcess supervisor(supervise);
  ClientOptions options = quick_client(0, 1);
  options.service_silence_s = 0.3;
  testing::Rank rank(here(invitation_from(supervisor.hear())), options);
  train_while_the_watchdog_looks(rank);
  rank.activity->set_phase(Phase::saving);
  supervisor.send(SIGSTOP);
  const auto ends_itself = [&] { return rank.client->verdict().has_value(); };
  EXPECT_FALSE(testing::comes_true(ends_itself, 2)) << "it saves";
  rank.activity->set_phase(Phase::training);
  const std::uint32_t call = rank.activity->enter("gradients", 0, 1, 4096);
  EXPECT_TRUE(testing::comes_true(ends_itself)) << "what it waits for may be beyond a link that is cut";
  rank.activity->leave(call);
}

TEST(Processes, WithAStoppedSupervisorARankThatGetsNoFurtherEndsItself) {
  ForkedProcess supervisor(supervise);
  ClientOptions options = quick_client(0, 1);
  options.service_silence_s = 0.3;
  testing::Rank rank(here(invitation_from(supervisor.hear())), options);
  train_while_the_watchdog_looks(rank);
  supervisor.send(SIGSTOP);
  ASSERT_TRUE(testing::comes_true([&] { return rank.client->verdict().has_value(); }));
  EXPECT_THAT(rank.client->verdict()->message, HasSubstr("rank 0 on node0 gets no further: no progress for 1."));
  EXPECT_FALSE(rank.client->is_told_to_all());
}

/// A supervisor's service that has been asked to stop the job, and says what it hears of rank 0.
int supervise_a_stop(const Pipe& in, const Pipe& out) {
  HeartbeatService service(quick_service(1), [&](const Event& event) { out.say(event.text); });
  service.request_stop();
  out.say(to_text(service.invitation()));
  in.hear(1000);
  testing::comes_true([&] { return service.picture().ranks[0].exit_code.has_value(); });
  out.say(fmt::format("exit code {}", service.picture().ranks[0].exit_code.value_or(-1)));
  return 0;
}

TEST(Processes, ARankThatTheServiceDoesNotAnswerAtFirstIsThereLater) {
  ForkedProcess supervisor(supervise_a_stop);
  const Invitation invitation = here(invitation_from(supervisor.hear()));
  supervisor.send(SIGSTOP);
  ClientOptions options = quick_client(0, 1);
  options.connect_time_s = 0.3;
  testing::Rank rank(invitation, options);
  Pipe notes, stops;
  rank.client->on_note([&](const std::string& note) { notes.say(note); });
  rank.client->on_stop([&] { stops.say("stop"); });
  EXPECT_THAT(notes.hear(), HasSubstr("rank 0 on node0 does not reach the supervisor over TCP (127.0.0.1, port "));
  supervisor.send(SIGCONT);
  EXPECT_EQ(supervisor.hear(), "all 1 ranks have called");
  EXPECT_THAT(notes.hear(), HasSubstr("rank 0 on node0 reaches the supervisor on "));
  EXPECT_EQ(stops.hear(), "stop");
  EXPECT_FALSE(rank.client->verdict());
  rank.client->set_outcome({ExitCode::preempted, "stopped"});
  rank.client->say_good_bye();
  supervisor.say("look");
  EXPECT_EQ(supervisor.hear(), "exit code 75");
}

TEST(Processes, AServiceThatWasStoppedItselfBlamesNobody) {
  ForkedProcess supervisor([](const Pipe& in, const Pipe& out) {
    ServiceOptions options = quick_service(1);
    options.judge.silence_warning_s = 0.5;
    options.judge.silence_lost_s = 1;
    HeartbeatService service(options, [&](const Event& event) { out.say(event.text); });
    out.say(to_text(service.invitation()));
    in.hear(1000);
    return 0;
  });
  testing::Rank rank(here(invitation_from(supervisor.hear())), quick_client(0, 1));
  EXPECT_EQ(supervisor.hear(), "all 1 ranks have called");
  supervisor.send(SIGSTOP);
  std::this_thread::sleep_for(std::chrono::milliseconds(3500));
  supervisor.send(SIGCONT);
  EXPECT_EQ(supervisor.hear(1.5), "") << "it could hear nobody";
  EXPECT_FALSE(rank.client->verdict());
}

/// Whoever writes to standard error from here on waits for ever.
void fill_standard_error() {
  int ends[2];
  if (::pipe2(ends, O_NONBLOCK) != 0) std::abort();
  while (::write(ends[1], "x", 1) == 1) continue;
  ::fcntl(ends[1], F_SETFL, 0);
  ::dup2(ends[1], STDERR_FILENO);
}

TEST(Processes, ARankWhoseWordsNobodyReadsIsHeardAllTheSame) {
  ForkedProcess supervisor([](const Pipe& in, const Pipe& out) {
    HeartbeatService service(quick_service(2), {});
    out.say(to_text(service.invitation()));
    in.hear(1000);
    const std::uint64_t before = service.beats();
    const bool hears_it = testing::comes_true([&] { return service.beats() > before + 200; });
    out.say(hears_it ? "hears it" : "hears nothing");
    in.hear(1000);
    return 0;
  });
  ForkedProcess rank([](const Pipe& in, const Pipe& out) {
    ClientOptions options = quick_client(1, 2);
    options.beat_s = 0.01;
    options.service_silence_s = 0.3;
    fill_standard_error();
    const testing::Rank itself(here(invitation_from(in.hear())), options);
    out.say("joined");
    in.hear(1000);
    return 0;
  });
  rank.say(supervisor.hear());
  ASSERT_EQ(rank.hear(), "joined");
  // Long enough for the rank to say that it hears nothing.
  supervisor.send(SIGSTOP);
  std::this_thread::sleep_for(std::chrono::seconds(1));
  supervisor.send(SIGCONT);
  supervisor.say("look");
  EXPECT_EQ(supervisor.hear(30), "hears it");
}

TEST(Processes, AProcessThatDoesNotEndByItselfIsEnded) {
  ForkedProcess rank([](const Pipe& in, const Pipe& out) {
    ClientOptions options = quick_client(0, 1);
    options.end_time_s = 0.2;
    testing::Rank stuck(here(invitation_from(in.hear())), options);
    out.say("joined");
    in.hear(1000);
    return 0;
  });
  HeartbeatService service(quick_service(1), {});
  rank.say(to_text(service.invitation()));
  ASSERT_EQ(rank.hear(), "joined");
  service.end_job(ExitCode::peer, "rank 7 is lost");
  EXPECT_EQ(rank.wait(), 6);
}

}  // namespace
}  // namespace athanor::watch
