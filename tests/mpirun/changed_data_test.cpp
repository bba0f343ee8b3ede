// Data files that go away or change while a run uses them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>

#include "mpirun/job.h"

namespace athanor::mpirun_test {
namespace {

using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using Clock = std::chrono::steady_clock;

/// A home with a recipe, and two copies of its data: for a host each.
struct HomeWithData {
  HomeWithData() {
    write_file(path / "r.yaml",
               "name: m\ndata: {name: cifar10}\nmodel: {name: cifar_resnet, depth: 8, width: 4, classes: 10}\n"
               "train: {epochs: 100000, batch: 8, shards: 2, shard_threads: 1}\neval: {every_epochs: 1000}\n"
               "optimizer: {name: sgd, lr: 0.01}\n");
    std::string records;
    for (int i = 0; i < 40; ++i) records += std::string(1, static_cast<char>(i % 10)) + std::string(3072, '\1');
    for (const char* host : {"a", "b"}) {
      for (const char* file : {"data_batch_1.bin", "test_batch.bin"}) write_file(data(host) / file, records);
    }
  }
  fs::path data(const std::string& host) const { return path / host / "cifar10"; }
  int steps() const { return steps_of(path / "x"); }

  testing::TemporaryFolder root;
  fs::path path = root / "home";
};

Words rank_with(const fs::path& data) {
  return {"-np", "1", "-x", "ATHANOR_DATA=" + data.string(), ATHANOR_PROGRAM, "train", "r.yaml", "--run", "x"};
}

Words alone_with(const fs::path& data, const std::string& run = "x") {
  return {"train", "r.yaml", "data.path=" + (data / "cifar10").string(), "--run", run};
}

TEST(ChangedData, AFileCutShortOnOneHostEndsAllWithItsName) {
  const HomeWithData home;
  Words words = rank_with(home.path / "a");
  words.emplace_back(":");
  for (const std::string& word : rank_with(home.path / "b")) words.push_back(word);
  Job job(home.path, words);
  ASSERT_TRUE(job.wait_until([&] { return home.steps() >= 5; })) << job.err();
  const auto start = Clock::now();
  fs::resize_file(home.data("b") / "data_batch_1.bin", 3073);
  const Outcome outcome = job.wait();
  EXPECT_LT(Clock::now() - start, std::chrono::seconds(10));
  EXPECT_EQ(outcome.code, 3) << outcome.err;
  EXPECT_THAT(outcome.err, ContainsRegex("rank 1 on [^ ]+: data changed .*/b/cifar10/data_batch_1.bin was truncated"));
}

TEST(ChangedData, ATestFileThatIsRemovedEndsTheRunLongBeforeAnEvaluation) {
  const HomeWithData home;
  Job job(home.path, 0, alone_with(home.path / "a"));
  ASSERT_TRUE(job.wait_until([&] { return home.steps() >= 5; })) << job.err();
  fs::remove(home.data("a") / "test_batch.bin");
  const Outcome outcome = job.wait();
  EXPECT_EQ(outcome.code, 3) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("a/cifar10/test_batch.bin is gone"));
  EXPECT_EQ(summary_of(home.path / "x").value("status", ""), "failed");
}

TEST(ChangedData, AFileThatIsOnlyTouchedChangesNothing) {
  const HomeWithData home;
  Job job(home.path, 0, alone_with(home.path / "a"));
  ASSERT_TRUE(job.wait_until([&] { return home.steps() >= 5; })) << job.err();
  const fs::path file = home.data("a") / "data_batch_1.bin";
  fs::last_write_time(file, fs::last_write_time(file) + std::chrono::hours(1));
  // The loader looks once a second.
  const auto enough = Clock::now() + std::chrono::milliseconds(2500);
  ASSERT_TRUE(job.wait_until([&] { return Clock::now() > enough; })) << job.err();
  kill(job.pid(), SIGUSR2);
  ASSERT_EQ(job.wait().code, 75);
  const nlohmann::json touched = summary_of(home.path / "x");
  Words words = alone_with(home.path / "b", "undisturbed");
  words.push_back("train.max_steps=" + std::to_string(touched.value("steps", 0)));
  ASSERT_EQ(run(home.path, 0, words).code, 0);
  EXPECT_EQ(summary_of(home.path / "undisturbed").value("weights_sha256", "?"), touched.value("weights_sha256", ""));
}

}  // namespace
}  // namespace athanor::mpirun_test
