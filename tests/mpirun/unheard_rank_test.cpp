// Ranks that `athanor launch` does not hear: they cannot reach it, or never come to call.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>

#include <cstdlib>
#include <memory>

#include "mpirun/job.h"
#include "mpirun/processes.h"

namespace athanor::mpirun_test {
namespace {

using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;

class UnheardRank : public ::testing::Test {
 protected:
  UnheardRank() {
    write_file(home_ / "r.yaml", tiny_recipe("{name: sgd, lr: 0.05}", "checkpoint: {every_steps: 100000}\n"));
  }
  ~UnheardRank() override { EXPECT_EQ(processes_in(home_), std::vector<pid_t>{}) << "left running"; }

  /// A job whose rank 1 cannot reach the supervisor.
  std::unique_ptr<Job> start_deaf_job(const std::string& epochs) const {
    setenv("LD_PRELOAD", ATHANOR_UNREACHABLE_SHIM, 1);
    setenv("ATHANOR_UNREACHABLE_FROM", "1", 1);
    auto job = std::make_unique<Job>(
        home_, 0, Words{"launch", "-n", "2", "train", "r.yaml", "--run", "x", "train.epochs=" + epochs});
    unsetenv("LD_PRELOAD");
    unsetenv("ATHANOR_UNREACHABLE_FROM");
    return job;
  }

  testing::TemporaryFolder root_;
  fs::path home_ = root_ / "home";
};

TEST_F(UnheardRank, TrainsToTheEndWithTheOthers) {
  const Outcome outcome = start_deaf_job("2")->wait();
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.err, Not(HasSubstr("starting again")));
  EXPECT_EQ(summary_of(home_ / "x").at("status"), "done");
}

TEST_F(UnheardRank, SavesWithTheOthersWhereTheJobIsStopped) {
  const std::unique_ptr<Job> job = start_deaf_job("100000");
  // Before a beat has told of a step, a job whose ranks have not all called counts as one that has not begun.
  ASSERT_TRUE(job->wait_until([&] {
    const nlohmann::json status = nlohmann::json::parse(read_file(home_ / "x/status.json"), nullptr, false);
    return !status.is_discarded() && status.at("progress").at("step") > 0;
  })) << job->err();
  kill(job->pid(), SIGUSR2);
  const Outcome outcome = job->wait();
  EXPECT_EQ(outcome.code, 75) << outcome.err;
  const nlohmann::json summary = summary_of(home_ / "x");
  EXPECT_EQ(summary.at("status"), "preempted") << outcome.err;
  EXPECT_EQ(summary.at("steps"), steps_of(home_ / "x"));
}

TEST_F(UnheardRank, IsNotWaitedForForEver) {
  Job job(home_, 0, {"launch", "-n", "2", "--start-timeout", "8", "train", "r.yaml", "--run", "x"});
  pid_t rank = 0;
  ASSERT_TRUE(job.wait_until([&] { return (rank = job.pid_of_rank(1)) > 0; })) << job.err();
  kill(rank, SIGSTOP);
  const Outcome outcome = job.wait();
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.err, ContainsRegex("launch: rank.* not called within [2-7].*\n(.*\n)*.*not called within 8.* s"));
  EXPECT_THAT(outcome.err, HasSubstr("starting again"));
}

TEST_F(UnheardRank, OnAHostThatDoesNotAnswerIsNamedAndTheWayThereIsGivenUp) {
  write_file(home_ / "agent", "#!/bin/sh\nsleep 1000\n");
  fs::permissions(home_ / "agent", fs::perms::owner_all);
  const Outcome outcome = run(home_, 0,
                              {"launch", "--hosts", "localhost:1,gone:1", "--rsh", (home_ / "agent").string(),
                               "--start-timeout", "3", "--max-restarts", "0", "train", "r.yaml", "--run", "x"});
  EXPECT_EQ(outcome.code, 6) << outcome.err;
  EXPECT_THAT(outcome.err, ContainsRegex("rank 1 on gone.* not called within 3"));
}

TEST_F(UnheardRank, OfAHostThatIsNoneIsNotStartedTwice) {
  write_file(home_ / "agent", "#!/bin/sh\nexit 255\n");
  fs::permissions(home_ / "agent", fs::perms::owner_all);
  const Outcome outcome = run(
      home_, 0,
      {"launch", "--hosts", "no-such-host:2", "--rsh", (home_ / "agent").string(), "train", "r.yaml", "--run", "x"});
  EXPECT_NE(outcome.code, 0);
  EXPECT_THAT(outcome.err, HasSubstr("no host answers: no-such-host"));
  EXPECT_THAT(outcome.err, Not(HasSubstr("starting again")));
}

/// "Max open files  SOFT  HARD  files"
rlim_t descriptors_of(pid_t process) {
  const std::string limits = read_file("/proc/" + std::to_string(process) + "/limits");
  const std::size_t line = limits.find("Max open files");
  return line == std::string::npos ? 0 : std::stoul(limits.substr(line + 14));
}

TEST_F(UnheardRank, IsNoneForWantOfDescriptors) {
  rlimit own{};
  getrlimit(RLIMIT_NOFILE, &own);
  constexpr rlim_t kFew = 200;
  ASSERT_GT(own.rlim_max, kFew);
  const rlimit few{kFew, own.rlim_max};
  setrlimit(RLIMIT_NOFILE, &few);
  Job job(home_, 0, {"launch", "-n", "2", "train", "r.yaml", "--run", "x", "train.epochs=100000"});
  setrlimit(RLIMIT_NOFILE, &own);
  ASSERT_TRUE(job.wait_until([&] { return steps_of(home_ / "x") >= 1; })) << job.err();
  EXPECT_GT(descriptors_of(job.pid()), kFew) << "a connection for each rank of a large job";
  EXPECT_EQ(descriptors_of(job.pid_of_rank(1)), kFew) << "what the user gave the ranks";
  kill(job.pid(), SIGUSR2);
  EXPECT_EQ(job.wait().code, 75);
}

}  // namespace
}  // namespace athanor::mpirun_test
