// What goes wrong on one rank ends all of them soon, with one message that says where.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>

#include "mpirun/job.h"

namespace athanor::mpirun_test {
namespace {

using ::testing::ContainsRegex;
using ::testing::HasSubstr;

const std::string kMomentumSgd = "{name: sgd, lr: 0.05, momentum: 0.9}";

int occurrences(const std::string& text, const std::string& part) {
  int count = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

/// A home with a recipe.
struct Home {
  explicit Home(const std::string& recipe = tiny_recipe(kMomentumSgd)) { write_file(path / "r.yaml", recipe); }
  testing::TemporaryFolder root;
  fs::path path = root / "home";
};

TEST(Failure, MoreRanksThanShardsIsRefusedOnceWithWhatWorks) {
  const Home home;
  const Outcome outcome = run(home.path, 3, {"train", "r.yaml", "train.shards=2", "--run", "x"});
  EXPECT_EQ(outcome.code, 2) << outcome.err;
  EXPECT_EQ(occurrences(outcome.err, "each needs a shard"), 1) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("start at most 2"));
  EXPECT_FALSE(fs::exists(home.path / "x"));
}

TEST(Failure, ABadRecipeIsReportedOnce) {
  const Home home;
  const Outcome outcome = run(home.path, 3, {"train", "r.yaml", "optimizer.lrr=1", "--run", "x"});
  EXPECT_EQ(outcome.code, 2) << outcome.err;
  EXPECT_EQ(occurrences(outcome.err, "unknown key"), 1) << outcome.err;
}

TEST(Failure, RanksWithDifferentRecipesStopAndSayWhoDiffersInWhat) {
  const Home home;
  const std::string program = ATHANOR_PROGRAM;
  const Outcome outcome = Job(home.path, {"-np", "2", program, "train", "r.yaml", "--run", "x", ":", "-np", "1",
                                          program, "train", "r.yaml", "optimizer.lr=0.06", "--run", "x"})
                              .wait();
  EXPECT_EQ(outcome.code, 2) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("rank 2 on "));
  EXPECT_THAT(outcome.err, HasSubstr("optimizer.lr"));
}

TEST(Failure, ARankWithoutDataEndsAllWithItsMessageOnce) {
  const Home home(
      "name: m\ndata: {name: mnist}\nmodel: {name: alchemy_net, classes: 10}\ntrain: {batch: 8, shards: 4}\n"
      "optimizer: {name: sgd, lr: 0.1}\n");
  const std::string program = ATHANOR_PROGRAM;
  const auto start = std::chrono::steady_clock::now();
  const Outcome outcome =
      Job(home.path, {"-np", "2", program, "train", "r.yaml", "data.path=/nowhere", "--run", "x"}).wait();
  EXPECT_EQ(outcome.code, 3) << outcome.err;
  EXPECT_EQ(occurrences(outcome.err, "athanor: "), 1) << outcome.err;
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(15));
}

TEST(Failure, OfOneRankAloneIsSaidByTheFirstBeforeAnybodyLeaves) {
  const Home home(
      "name: m\ndata: {name: cifar10}\nmodel: {name: cifar_resnet, depth: 8, classes: 10}\n"
      "train: {batch: 8, shards: 4}\noptimizer: {name: sgd, lr: 0.1}\n");
  const fs::path good = home.path / "good";
  for (const char* name : {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin",
                           "data_batch_5.bin", "test_batch.bin"}) {
    write_file(good / name, std::string(20 * 3073, '\1'));
  }
  const std::string program = ATHANOR_PROGRAM;
  const auto with = [&](const fs::path& data) {
    return Words{"-np", "1", program, "train", "r.yaml", "data.path=" + data.string(), "--run", "x"};
  };
  Words words = with(good);
  words.emplace_back(":");
  for (const std::string& word : with("/nowhere")) words.push_back(word);
  for (int round = 0; round < 3; ++round) {
    const Outcome outcome = Job(home.path, words).wait();
    EXPECT_EQ(outcome.code, 3) << outcome.err;
    EXPECT_EQ(occurrences(outcome.err, "athanor: "), 1) << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr("rank 1 on "));
    EXPECT_THAT(outcome.err, HasSubstr("/nowhere"));
  }
}

TEST(Failure, ADeadRankInMidRunEndsTheOthersAndIsNamed) {
  const Home home;
  Job job(home.path, 3, {"train", "r.yaml", "train.epochs=100000", "--run", "x"});
  ASSERT_TRUE(job.wait_until([&] { return steps_of(home.path / "x") >= 5; })) << job.err();
  const pid_t victim = job.pid_of_rank(1);
  ASSERT_GT(victim, 0);
  const auto start = std::chrono::steady_clock::now();
  kill(victim, SIGKILL);
  const Outcome outcome = job.wait();
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(15));
  EXPECT_NE(outcome.code, 0);
  EXPECT_THAT(outcome.err, ContainsRegex("rank 1 on [^ ]+ \\(process [0-9]+\\) is (gone|lost)"));
}

TEST(Failure, ARunFolderOfALiveRunIsRefused) {
  const Home home;
  Job job(home.path, 2, {"train", "r.yaml", "train.epochs=100000", "--run", "x"});
  ASSERT_TRUE(job.wait_until([&] { return steps_of(home.path / "x") >= 1; })) << job.err();
  const Outcome outcome = run(home.path, 2, {"train", "r.yaml", "train.epochs=100000", "--run", "x"});
  EXPECT_EQ(outcome.code, 4) << outcome.err;
  kill(job.pid(), SIGUSR2);
  EXPECT_EQ(job.wait().code, 75);
}

TEST(Failure, ProcessesThatCannotFindEachOtherAreTold) {
  const Home home;
  setenv("SLURM_STEP_NUM_TASKS", "4", 1);
  const Outcome outcome = run(home.path, 0, {"train", "r.yaml", "--run", "x"});
  unsetenv("SLURM_STEP_NUM_TASKS");
  EXPECT_EQ(outcome.code, 2) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("--mpi=pmix"));
}

TEST(Failure, CheckSaysOnceWhatAnyRankFound) {
  const Home home;
  const Outcome sound = run(home.path, 3, {"check", "r.yaml"});
  EXPECT_EQ(sound.code, 0) << sound.out << sound.err;
  EXPECT_EQ(occurrences(sound.out, "ok    ranks "), 1) << sound.out;
  EXPECT_THAT(sound.out, HasSubstr("3 ranks ("));
  const std::string program = ATHANOR_PROGRAM;
  const Outcome bad =
      Job(home.path, {"-np", "1", program, "check", "r.yaml", ":", "-np", "1", program, "check", "gone.yaml"}).wait();
  EXPECT_EQ(bad.code, 2) << bad.out;
  EXPECT_THAT(bad.out, ContainsRegex("FAIL +recipe +rank 1 on [^ ]+: "));
}

TEST(Failure, EvaluationOverRanksIsThatOfOne) {
  const Home home;
  ASSERT_EQ(run(home.path, 0, {"train", "r.yaml", "--run", "x"}).code, 0);
  const std::string want = run(home.path, 0, {"eval", "x", "--json"}).out;
  for (const int ranks : {1, 2, 3, 5, 9}) {
    const Outcome outcome = run(home.path, ranks, {"eval", "x", "--json"});
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_EQ(outcome.out, want) << ranks;
  }
}

}  // namespace
}  // namespace athanor::mpirun_test
