// `athanor launch` over the real mpirun on this machine: whatever happens to a job, it ends where an undisturbed one
// ends, and nothing of it is left running.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>

#include "mpirun/job.h"
#include "mpirun/processes.h"

namespace athanor::mpirun_test {
namespace {

using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;

const std::string kLaunchedSgd = "{name: sgd, lr: 0.05, momentum: 0.9}";

/// Oldest first.
std::vector<fs::path> checkpoints_of(const fs::path& run) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(run / "checkpoints")) {
    if (entry.path().extension() == ".h5") files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

/// A home with a recipe that saves often, and a job in it.
class Launch : public ::testing::Test {
 protected:
  Launch() { write_file(home_ / "r.yaml", tiny_recipe(kLaunchedSgd, "checkpoint: {every_steps: 5}\n")); }
  ~Launch() override { EXPECT_EQ(processes_in(home_), std::vector<pid_t>{}) << "left running"; }

  Words words(const Words& options = {}, const Words& settings = {}) const {
    Words words{"launch", "-n", "2"};
    words.insert(words.end(), options.begin(), options.end());
    words.insert(words.end(), {"train", "r.yaml", "--run", "x", "train.epochs=" + std::to_string(kEpochs)});
    words.insert(words.end(), settings.begin(), settings.end());
    return words;
  }
  /// What one process makes of it; the same in all tests.
  std::string undisturbed() {
    static const std::string hash = [&]() -> std::string {
      const std::string epochs = "train.epochs=" + std::to_string(kEpochs);
      const Outcome alone = run(home_, 0, {"train", "r.yaml", "--run", "alone", epochs});
      EXPECT_EQ(alone.code, 0) << alone.err;
      return summary_of(home_ / "alone").at("weights_sha256");
    }();
    return hash;
  }
  void wait_for_steps(Job& job, int steps) {
    ASSERT_TRUE(job.wait_until([&] { return steps_of(home_ / "x") >= steps; })) << job.err();
  }
  static void signal_rank(const Job& job, int rank, int signal) {
    const pid_t pid = job.pid_of_rank(rank);
    ASSERT_GT(pid, 0);
    kill(pid, signal);
  }
  void expect_same_end(const Outcome& outcome) {
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_EQ(summary_of(home_ / "x").at("weights_sha256"), undisturbed()) << outcome.err;
  }

  static constexpr int kEpochs = 200;  ///< long enough that a fault finds ranks that train
  testing::TemporaryFolder root_;
  fs::path home_ = root_ / "home";
};

TEST_F(Launch, AKilledRankIsNamedAndTheJobEndsAsIfNothingHadHappened) {
  Job job(home_, 0, words());
  wait_for_steps(job, 20);
  signal_rank(job, 1, SIGKILL);
  const Outcome outcome = job.wait();
  expect_same_end(outcome);
  EXPECT_THAT(outcome.err, ContainsRegex("launch: rank 1 on [^ ]+ \\(process [0-9]+\\) is lost"));
  EXPECT_THAT(outcome.err, ContainsRegex("restarted in [0-9.]+ s"));
  const std::string faults = read_file(home_ / "x/faults.jsonl");
  EXPECT_THAT(faults, AllOf(HasSubstr("\"kind\":\"lost\""), HasSubstr("\"attempt\":1"), HasSubstr("\"exit_code\":6")));
}

TEST_F(Launch, AKilledMpirunTakesNothingWithIt) {
  Job job(home_, 0, words());
  wait_for_steps(job, 20);
  const std::vector<pid_t> launchers = children_of(job.pid());
  ASSERT_EQ(launchers.size(), 1U);
  kill(launchers[0], SIGKILL);
  const Outcome outcome = job.wait();
  expect_same_end(outcome);
  EXPECT_THAT(outcome.err, HasSubstr("mpirun was killed"));
}

TEST_F(Launch, AStoppedRankIsLostAndReplaced) {
  Job job(home_, 0, words());
  wait_for_steps(job, 20);
  signal_rank(job, 0, SIGSTOP);
  const Outcome outcome = job.wait();
  expect_same_end(outcome);
  EXPECT_THAT(outcome.err, ContainsRegex("rank 0 on [^ ]+ \\(process [0-9]+\\) is lost: no heartbeat"));
}

TEST_F(Launch, RequestsToStopReachAllRanksAndNoStepIsLost) {
  std::size_t steps = 0;
  for (const int signal : {SIGUSR2, SIGTERM, SIGINT}) {
    Job job(home_, 0, words({}, {"train.epochs=100000"}));
    wait_for_steps(job, static_cast<int>(steps) + 10);
    kill(job.pid(), signal);
    const Outcome outcome = job.wait();
    EXPECT_EQ(outcome.code, 75) << outcome.err;
    const nlohmann::json summary = summary_of(home_ / "x");
    EXPECT_EQ(summary.at("status"), "preempted");
    EXPECT_EQ(summary.at("steps"), steps_of(home_ / "x"));
    EXPECT_GT(summary.at("steps").get<std::size_t>(), steps);
    steps = summary.at("steps");
  }
}

TEST_F(Launch, AStoppedMpirunHoldsUpNoRequestToStop) {
  Job job(home_, 0, words({}, {"train.epochs=100000"}));
  wait_for_steps(job, 20);
  const std::vector<pid_t> launchers = children_of(job.pid());
  ASSERT_EQ(launchers.size(), 1U);
  kill(launchers[0], SIGSTOP);
  kill(job.pid(), SIGTERM);
  const Outcome outcome = job.wait();
  EXPECT_EQ(outcome.code, 75) << outcome.err;
  EXPECT_EQ(summary_of(home_ / "x").at("status"), "preempted");
}

TEST_F(Launch, AFaultOnTheWayOutIsNoSave) {
  Job job(home_, 0, words({}, {"train.epochs=100000"}));
  wait_for_steps(job, 20);
  // One that does not hear of the request.
  signal_rank(job, 1, SIGSTOP);
  kill(job.pid(), SIGUSR2);
  ASSERT_TRUE(job.wait_until([&] { return job.err().find("SIGUSR2") != std::string::npos; }));
  signal_rank(job, 1, SIGKILL);
  const Outcome outcome = job.wait();
  EXPECT_EQ(outcome.code, 6) << outcome.err;
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("not all ranks could save"), Not(HasSubstr("starting again"))));
}

TEST_F(Launch, AKilledSupervisorLetsTheRanksSave) {
  Job job(home_, 0, words({}, {"train.epochs=100000"}));
  wait_for_steps(job, 20);
  ASSERT_TRUE(job.wait_until([&] { return fs::exists(home_ / "x/status.json"); }));
  const pid_t rank = job.pid_of_rank(0);
  kill(job.pid(), SIGKILL);
  job.wait();
  ASSERT_TRUE(wait_for_end_of(rank));
  EXPECT_EQ(summary_of(home_ / "x").at("status"), "preempted");
  EXPECT_THAT(run(home_, 0, {"status", "x"}).out, HasSubstr(": stopped on request (75): start it again, mpirun on "));
  ASSERT_TRUE(wait_until_none_is_in(home_));
}

TEST_F(Launch, ASecondInterruptEndsAllAtOnce) {
  Job job(home_, 0, words({}, {"train.epochs=100000"}));
  wait_for_steps(job, 10);
  // A rank that does not hear: what was asked of it cannot happen.
  signal_rank(job, 1, SIGSTOP);
  kill(job.pid(), SIGINT);
  ASSERT_TRUE(job.wait_until([&] { return job.err().find("SIGINT") != std::string::npos; }));
  // Within 0.2 s it would be the same key press.
  ASSERT_TRUE(job.wait_until([&] {
    kill(job.pid(), SIGINT);
    return job.err().find("interrupted again") != std::string::npos;
  }));
  EXPECT_EQ(job.wait().code, 130);
}

TEST_F(Launch, AsManyRestartsAsAllowed) {
  Job job(home_, 0, words({"--max-restarts", "1"}, {"train.epochs=100000"}));
  int steps = 0;
  for (int fault = 0; fault < 2; ++fault) {
    wait_for_steps(job, steps + 10);
    steps = steps_of(home_ / "x");
    signal_rank(job, 1, SIGKILL);
    const std::string said = fault == 0 ? "restarted in" : "--max-restarts";
    ASSERT_TRUE(job.wait_until([&] { return job.err().find(said) != std::string::npos; })) << job.err();
  }
  EXPECT_EQ(job.wait().code, 6);
}

TEST_F(Launch, ABadRecipeIsNotTriedAgain) {
  const Outcome outcome = run(home_, 0, words({}, {"optimizer.lrr=1"}));
  EXPECT_EQ(outcome.code, 2) << outcome.err;
  EXPECT_THAT(outcome.err,
              AllOf(HasSubstr("unknown key"), HasSubstr("not started again"), Not(HasSubstr("attempt 1 ended"))));
}

TEST_F(Launch, ADamagedNewestCheckpointIsPassedOverAtARestart) {
  Job job(home_, 0, words({}, {"checkpoint.keep=100000"}));
  wait_for_steps(job, 40);
  // The launcher first, so that nothing starts before the file is damaged.
  kill(job.pid(), SIGSTOP);
  const pid_t rank = job.pid_of_rank(0);
  signal_rank(job, 1, SIGKILL);
  signal_rank(job, 0, SIGKILL);
  ASSERT_TRUE(wait_for_end_of(rank));
  const std::vector<fs::path> checkpoints = checkpoints_of(home_ / "x");
  ASSERT_GE(checkpoints.size(), 2U);
  std::string bytes = read_file(checkpoints.back());
  bytes[bytes.size() / 2] ^= 1;
  write_file(checkpoints.back(), bytes);
  kill(job.pid(), SIGCONT);
  const Outcome outcome = job.wait();
  expect_same_end(outcome);
  EXPECT_THAT(outcome.out + outcome.err, HasSubstr(checkpoints.back().filename().string()));
  EXPECT_THAT(outcome.out + outcome.err,
              ContainsRegex("goes on from .*" + checkpoints[checkpoints.size() - 2].filename().string()));
}

TEST_F(Launch, AFullDiskBehindItsOutputDisturbsNothing) {
  Job job(home_, 0, words(), "/dev/full");
  wait_for_steps(job, 20);
  signal_rank(job, 1, SIGKILL);
  expect_same_end(job.wait());
  EXPECT_NE(read_file(home_ / "x/faults.jsonl"), "");
}

TEST_F(Launch, OtherCommandsEndWithTheirOwnCode) {
  const Outcome sound = run(home_, 0, {"launch", "-n", "2", "check", "r.yaml"});
  EXPECT_EQ(sound.code, 0) << sound.out << sound.err;
  EXPECT_THAT(sound.out, HasSubstr("2 ranks ("));
  EXPECT_EQ(run(home_, 0, {"launch", "-n", "2", "check", "gone.yaml"}).code, 2);
}

}  // namespace
}  // namespace athanor::mpirun_test
