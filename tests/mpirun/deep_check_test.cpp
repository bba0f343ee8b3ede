// athanor check --deep under a real launcher.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "mpirun/job.h"

namespace athanor::mpirun_test {
namespace {

using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;

/// A home with a recipe for files, and two copies of them.
struct HomeWithCopies {
  HomeWithCopies() {
    write_file(path / "r.yaml",
               "name: m\ndata: {name: cifar10}\nmodel: {name: cifar_resnet, depth: 8, width: 4, classes: 10}\n"
               "train: {epochs: 1, batch: 12, shards: 6, shard_threads: 1}\noptimizer: {name: sgd, lr: 0.01}\n");
    std::string records;
    for (int i = 0; i < 40; ++i) records += std::string(1, static_cast<char>(i % 10)) + std::string(3072, '\1');
    for (const char* copy : {"a", "b"}) {
      for (const char* file : {"data_batch_1.bin", "test_batch.bin"}) write_file(data(copy) / file, records);
    }
  }
  fs::path data(const std::string& copy) const { return path / copy / "cifar10"; }

  /// The words for `ranks` of mpirun that look at a copy; on a host of their own where `host` names one, which has a
  /// file system of its own at `own_folder`; `before` the program.
  Words check(int ranks, const std::string& copy, const std::string& host = "", const fs::path& own_folder = "",
              const Words& before = {}) const {
    Words words{"-np", std::to_string(ranks), "-x", "ATHANOR_DATA=" + (path / copy).string()};
    if (!host.empty()) {
      words.insert(words.end(), {ATHANOR_SOURCE_DIR "/tests/mpirun/on_host", host, own_folder.string()});
    }
    words.insert(words.end(), before.begin(), before.end());
    for (const char* word : {ATHANOR_PROGRAM, "check", "r.yaml", "--deep", "--run"}) words.emplace_back(word);
    words.push_back((runs / "x").string());
    return words;
  }

  testing::TemporaryFolder root;
  fs::path path = root / "home";
  fs::path runs = root / "runs";
};

Words both(Words first, const Words& second) {
  first.emplace_back(":");
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

TEST(DeepCheck, OfThreeSoundRanksFindsNothingToFail) {
  const HomeWithCopies home;
  fs::create_directories(home.runs);
  const Outcome outcome = Job(home.path, both(home.check(1, "a"), home.check(2, "b"))).wait();
  EXPECT_EQ(outcome.code, 0) << outcome.out << outcome.err;
  for (const char* what : {"launcher", "cgroup", "clocks", "shared", "speed", "content", "links"}) {
    EXPECT_THAT(outcome.out, ContainsRegex(std::string("ok +") + what));
  }
  // This machine may have fewer cores than ranks, or low limits, which is worth a warning.
  for (const char* what : {"binding", "ulimits"}) {
    EXPECT_THAT(outcome.out, ContainsRegex(std::string("(ok|warn) +") + what));
  }
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("mpirun, 3 ranks, PMIx"), HasSubstr("2 files, read whole")));
  EXPECT_TRUE(fs::is_empty(home.runs));
}

TEST(DeepCheck, NamesTheRankWhoseDataDiffer) {
  const HomeWithCopies home;
  fs::create_directories(home.runs);
  // The labels and sizes are the same, so that no cheaper check sees it.
  std::string records = read_file(home.data("b") / "data_batch_1.bin");
  records[5000] = '\2';
  write_file(home.data("b") / "data_batch_1.bin", records);
  const Outcome outcome = Job(home.path, both(home.check(2, "a"), home.check(1, "b"))).wait();
  EXPECT_EQ(outcome.code, 3) << outcome.out << outcome.err;
  EXPECT_THAT(outcome.out, ContainsRegex("FAIL +content +on [^ ]+ \\(rank 2\\) .*/b/cifar10/data_batch_1.bin"));
  EXPECT_THAT(outcome.out, ContainsRegex("ok +links"));
}

TEST(DeepCheck, OfHostsSaysWhichDoNotSeeTheRunFolder) {
  if (std::system("unshare --uts --mount true 2>/dev/null") != 0) GTEST_SKIP() << "hosts of their own need root";
  const HomeWithCopies home;
  fs::create_directories(home.runs);
  const Outcome outcome = Job(home.path, both(both(home.check(1, "a", "one"), home.check(1, "a", "two")),
                                              home.check(2, "b", "three", home.runs)))
                              .wait();
  EXPECT_EQ(outcome.code, 0) << outcome.out << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("4 ranks (one: 1, two: 1, three: 2)"));
  EXPECT_THAT(outcome.out, ContainsRegex("warn +shared +[^ ]+/runs of one is not the one of three: "));
  EXPECT_THAT(outcome.out, HasSubstr("3 pairs of hosts"));
  EXPECT_THAT(outcome.out, ContainsRegex("ok +clocks +at most [0-9]+ ms apart"));
  EXPECT_TRUE(fs::is_empty(home.runs));
}

TEST(DeepCheck, OfAHostWhoseClockIsAnHourAheadOnlyWarns) {
  if (std::system("unshare --uts --mount true 2>/dev/null") != 0) GTEST_SKIP() << "hosts of their own need root";
  if (std::system("faketime -f +1s true 2>/dev/null") != 0) GTEST_SKIP() << "faketime is not installed";
  const HomeWithCopies home;
  fs::create_directories(home.runs);
  const Words right = both(home.check(1, "a", "one"), home.check(1, "a", "two"));
  const Words wrong = home.check(1, "a", "three", "", {"faketime", "-f", "+3600s"});
  const Outcome outcome = Job(home.path, both(right, wrong)).wait();
  EXPECT_EQ(outcome.code, 0) << outcome.out << outcome.err;
  EXPECT_THAT(outcome.out,
              ContainsRegex("warn +clocks +the clock of three is 3600.[0-9] s ahead of that of (one|two); "));
}

}  // namespace
}  // namespace athanor::mpirun_test
