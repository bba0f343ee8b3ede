#include "train/metrics.h"

#include <gtest/gtest.h>

#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/error.h"
#include "train/folders.h"

namespace athanor {
namespace {

using testing::TemporaryFolder;

constexpr StepLine kStep{.step = 7,
                         .epoch = 2,
                         .samples = 896,
                         .loss = 0.1,
                         .lr = 1e-30,
                         .images_per_s = 1234.5,
                         .step_ms = 103.7,
                         .data_wait_ms = 0,
                         .comm_exposed_ms = 0.25,
                         .grad_norm = 1e300,
                         .comm_bytes = 4096,
                         .slowest_rank = 3,
                         .slowest_host = "a \"b\\"};

std::vector<nlohmann::json> read_lines(const std::filesystem::path& file) {
  std::vector<nlohmann::json> lines;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) lines.push_back(nlohmann::json::parse(line));
  return lines;
}

TEST(MetricsLog, LinesReadBackAsTheyWereGiven) {
  const TemporaryFolder folder;
  const auto file = folder.path() / "metrics.jsonl";
  MetricsLog log(file);
  log.train(kStep);
  log.evaluation(
      {.step = 7, .epoch = 2, .split = "test", .loss = 0.3, .accuracy = 0.9312, .top5 = 1, .samples = 10000});
  log.checkpoint({.step = 7, .stall_ms = 1.5, .write_ms = 20, .bytes = 204'000'000, .path = "runs/a/checkpoints/x"});
  const auto lines = read_lines(file);
  ASSERT_EQ(lines.size(), 3u);
  const nlohmann::json checkpoint{{"kind", "checkpoint"}, {"step", 7},          {"stall_ms", 1.5},
                                  {"write_ms", 20},       {"bytes", 204000000}, {"path", "runs/a/checkpoints/x"}};
  EXPECT_EQ(lines[2], checkpoint);
  const nlohmann::json train{{"kind", "train"},
                             {"step", 7},
                             {"epoch", 2},
                             {"samples", 896},
                             {"loss", 0.1},
                             {"lr", 1e-30},
                             {"images_per_s", 1234.5},
                             {"step_ms", 103.7},
                             {"data_wait_ms", 0},
                             {"comm_exposed_ms", 0.25},
                             {"grad_norm", 1e300},
                             {"comm_bytes", 4096},
                             {"slowest_rank", 3},
                             {"slowest_host", "a \"b\\"}};
  const nlohmann::json eval{{"kind", "eval"}, {"step", 7},          {"epoch", 2}, {"split", "test"},
                            {"loss", 0.3},    {"accuracy", 0.9312}, {"top5", 1},  {"samples", 10000}};
  EXPECT_EQ(lines[0], train);
  EXPECT_EQ(lines[1], eval);
}

TEST(MetricsLog, NumbersThatAreNotFiniteBecomeNull) {
  const TemporaryFolder folder;
  const auto file = folder.path() / "metrics.jsonl";
  {
    MetricsLog log(file);
    StepLine line = kStep;
    line.loss = std::numeric_limits<double>::quiet_NaN();
    line.grad_norm = -std::numeric_limits<double>::infinity();
    log.train(line);
  }
  const auto lines = read_lines(file);
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_TRUE(lines[0].at("loss").is_null());
  EXPECT_TRUE(lines[0].at("grad_norm").is_null());
  EXPECT_EQ(lines[0].at("lr"), 1e-30);
}

TEST(MetricsLog, AppendsToWhatIsThere) {
  const TemporaryFolder folder;
  const auto file = folder.path() / "metrics.jsonl";
  for (int i = 0; i < 2; ++i) {
    MetricsLog log(file);
    for (int step = 0; step < 1000; ++step) log.train(kStep);
  }
  EXPECT_EQ(read_lines(file).size(), 2000u);
}

TEST(MetricsLog, AFullDiskIsAStorageError) {
  MetricsLog log("/dev/full");
  log.train(kStep);
  EXPECT_THROW(log.flush(), StorageError);
}

TEST(MetricsLog, AMissingFolderIsAStorageError) {
  const TemporaryFolder folder;
  EXPECT_THROW(MetricsLog(folder.path() / "none" / "metrics.jsonl"), StorageError);
}

}  // namespace
}  // namespace athanor
