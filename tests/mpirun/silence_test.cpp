// Ranks that are there but say nothing: a pause is warned of, silence ends the job with the rank named.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>

#include "mpirun/job.h"

namespace athanor::mpirun_test {
namespace {

using ::testing::ContainsRegex;
using Clock = std::chrono::steady_clock;

/// A job of three ranks in the middle of a run that would last for ever, and the process of one of them.
struct Training {
  explicit Training(int victim, const Words& more = {}) : job(home, 3, words_with(more)) {
    EXPECT_TRUE(job.wait_until([&] { return steps_of(home / "x") >= 5; })) << job.err();
    pid = job.pid_of_rank(victim);
    EXPECT_GT(pid, 0);
  }
  /// A stopped process ends by SIGKILL alone, which mpirun sends in the end.
  ~Training() {
    if (pid > 0 && !job.has_ended()) kill(pid, SIGCONT);
  }
  static Words words_with(const Words& more) {
    Words words{"train", "r.yaml", "train.epochs=1000000", "--run", "x"};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
  fs::path write_recipe() const {
    write_file(root / "home" / "r.yaml", tiny_recipe("{name: sgd, lr: 0.05}"));
    return root / "home";
  }
  testing::TemporaryFolder root;
  fs::path home = write_recipe();
  Job job;
  pid_t pid = 0;
};

void expect_named_in_time(int victim) {
  Training training(victim);
  const Clock::time_point start = Clock::now();
  kill(training.pid, SIGSTOP);
  const std::string named = "rank " + std::to_string(victim) + " on [^ ]+";
  ASSERT_TRUE(training.job.wait_until([&] { return ::testing::Value(training.job.err(), ContainsRegex(named)); }));
  EXPECT_LT(Clock::now() - start, std::chrono::seconds(15)) << training.job.err();
  const Outcome outcome = training.job.wait();
  // Where the first rank cannot end by itself, the code is that of a process that mpirun killed.
  if (victim != 0) {
    EXPECT_EQ(outcome.code, 6) << outcome.err;
  } else {
    EXPECT_NE(outcome.code, 0);
  }
  EXPECT_LT(Clock::now() - start, std::chrono::seconds(30)) << outcome.err;
}

TEST(Silence, OfARankThatIsStoppedForEverEndsTheJob) {
  expect_named_in_time(1);
}

TEST(Silence, OfTheFirstRankDoesToo) {
  expect_named_in_time(0);
}

TEST(Silence, OfAFewSecondsIsWarnedOfAndForgiven) {
  Training training(1);
  kill(training.pid, SIGSTOP);
  EXPECT_TRUE(training.job.wait_until([&] {
    return ::testing::Value(read_file(training.home / "x" / "log.txt"), ContainsRegex("rank 1 on [^ ]+ .*is silent"));
  })) << training.job.err();
  kill(training.pid, SIGCONT);
  const int steps = steps_of(training.home / "x");
  EXPECT_TRUE(training.job.wait_until([&] { return steps_of(training.home / "x") > steps + 5; }));
  kill(training.job.pid(), SIGUSR2);
  EXPECT_EQ(training.job.wait().code, 75);
}

/// As a scheduler that suspends a job does.
TEST(Silence, OfTheWholeJobIsForgivenHoweverLong) {
  Training training(1, {"comm.timeout_s=3"});
  std::vector<pid_t> ranks;
  for (int rank = 0; rank < 3; ++rank) ranks.push_back(training.job.pid_of_rank(rank));
  for (const pid_t rank : ranks) kill(rank, SIGSTOP);
  const Clock::time_point end = Clock::now() + std::chrono::seconds(6);
  training.job.wait_until([&] { return Clock::now() > end; });
  const int steps = steps_of(training.home / "x");
  for (const pid_t rank : ranks) kill(rank, SIGCONT);
  EXPECT_TRUE(training.job.wait_until([&] { return steps_of(training.home / "x") > steps + 5; })) << training.job.err();
  kill(training.job.pid(), SIGUSR2);
  EXPECT_EQ(training.job.wait().code, 75);
}

}  // namespace
}  // namespace athanor::mpirun_test
