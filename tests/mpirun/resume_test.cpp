// A run that was stopped, or killed, goes on with another number of ranks and ends as if nothing had happened.
#include <gtest/gtest.h>
#include <signal.h>

#include "base/random.h"
#include "mpirun/job.h"

namespace athanor::mpirun_test {
namespace {

const std::string kOptimizer = "{name: sgd, lr: 0.05, momentum: 0.9, weight_decay: 5e-4}";

/// The unbroken run, alone.
struct Unbroken {
  explicit Unbroken(const fs::path& home, const Words& overrides) {
    Words words{"train", "r.yaml", "--run", "unbroken"};
    words.insert(words.end(), overrides.begin(), overrides.end());
    const Outcome outcome = run(home, 0, words);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    hash = summary_of(home / "unbroken").value("weights_sha256", "");
    results = results_of(home / "unbroken");
  }
  std::string hash;
  std::vector<std::string> results;
};

void expect_like(const Unbroken& want, const fs::path& run) {
  EXPECT_EQ(summary_of(run).value("weights_sha256", "?"), want.hash);
  EXPECT_EQ(results_of(run), want.results);
}

TEST(Resume, AfterSigkillAtAnyMomentOnFourRanksWithThree) {
  const testing::TemporaryFolder root;
  const fs::path home = root / "home";
  const Words length{"train.epochs=6", "checkpoint.every_steps=3"};
  write_file(home / "r.yaml", tiny_recipe(kOptimizer, "ema: {decay: 0.9}\n"));
  const Unbroken want(home, length);
  RandomStream random(17, Purpose::test, 0, key_of("kill"));
  for (int round = 0; round < 5; ++round) {
    const std::string folder = "killed" + std::to_string(round);
    Words words{"train", "r.yaml", "--run", folder};
    words.insert(words.end(), length.begin(), length.end());
    {
      Job job(home, 4, words);
      const int after = static_cast<int>(random.below(40)), victim = static_cast<int>(random.below(4));
      ASSERT_TRUE(job.wait_until([&] { return steps_of(home / folder) >= after; })) << job.err();
      const pid_t rank = job.pid_of_rank(victim);
      if (rank > 0) kill(rank, SIGKILL);
      const Outcome outcome = job.wait();
      // A job this short may have been done before the signal came.
      if (outcome.code == 0) continue;
      EXPECT_NE(outcome.code, 75);
    }
    const Outcome resumed = run(home, 3, words);
    EXPECT_EQ(resumed.code, 0) << resumed.err;
    expect_like(want, home / folder);
  }
}

TEST(Resume, AfterARequestToStopAtTheSameStepOnAllRanks) {
  const testing::TemporaryFolder root;
  const fs::path home = root / "home";
  const Words length{"train.epochs=12"};
  write_file(home / "r.yaml", tiny_recipe("{name: adam, lr: 1e-3}"));
  const Unbroken want(home, length);
  const Words words{"train", "r.yaml", "--run", "stopped", length[0]};
  Job job(home, 4, words);
  ASSERT_TRUE(job.wait_until([&] { return steps_of(home / "stopped") >= 5; })) << job.err();
  kill(job.pid(), SIGUSR2);
  const Outcome stopped = job.wait();
  ASSERT_EQ(stopped.code, 75) << stopped.err;
  EXPECT_EQ(summary_of(home / "stopped").value("status", ""), "preempted");
  const Outcome resumed = run(home, 2, words);
  EXPECT_EQ(resumed.code, 0) << resumed.err;
  expect_like(want, home / "stopped");
  const Outcome again = run(home, 2, words);
  EXPECT_EQ(again.code, 0) << again.err;
  EXPECT_NE(again.out.find("already done"), std::string::npos) << again.out;
}

/// train.max_steps ends a run at any step; more of them let it go on.
TEST(Resume, FromEveryStepOfARunAcrossAnEpochOnAnotherWorldSize) {
  const testing::TemporaryFolder root;
  const fs::path home = root / "home";
  write_file(home / "r.yaml", tiny_recipe("{name: sgd, lr: 0.05, momentum: 0.9, shard: true}", "ema: {decay: 0.9}\n"));
  const Unbroken want(home, {"train.max_steps=20", "train.epochs=0", "checkpoint.every_steps=1", "checkpoint.keep=30"});
  for (int step = 1; step < 20; step += 1) {
    const std::string folder = "from" + std::to_string(step);
    // What is left when the process dies just after the checkpoint of that step.
    fs::create_directories(home / folder / "checkpoints");
    for (const char* file : {"recipe.yaml", "metrics.jsonl", "log.txt"}) {
      fs::copy_file(home / "unbroken" / file, home / folder / file);
    }
    for (int kept = 1; kept <= step; ++kept) {
      char name[32];
      std::snprintf(name, sizeof name, "step-%09d.h5", kept);
      fs::copy_file(home / "unbroken/checkpoints" / name, home / folder / "checkpoints" / name);
    }
    const Outcome resumed = run(home, 1 + step % 3,
                                {"train", "r.yaml", "--run", folder, "train.max_steps=20", "train.epochs=0",
                                 "checkpoint.every_steps=1", "checkpoint.keep=30"});
    EXPECT_EQ(resumed.code, 0) << step << ": " << resumed.err;
    EXPECT_EQ(summary_of(home / folder).value("weights_sha256", "?"), want.hash) << step;
    EXPECT_EQ(results_of(home / folder), want.results) << step;
  }
}

}  // namespace
}  // namespace athanor::mpirun_test
