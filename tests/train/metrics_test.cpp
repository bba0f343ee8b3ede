#include "train/metrics.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gtest/gtest.h>
#include <array>
#include <filesystem>
#include <sstream>

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

/// The descriptor by which this process has a file open for writing.
int log_descriptor(const std::string& path) {
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code ignored;
    const int descriptor = std::stoi(entry.path().filename().string());
    if (std::filesystem::read_symlink(entry.path(), ignored) == path && (fcntl(descriptor, F_GETFL) & O_WRONLY) != 0) {
      return descriptor;
    }
  }
  return -1;
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

TEST(MetricsLog, LinesWaitForADiskThatTakesNothingAndACheckpointWaitsForThem) {
  MetricsLog log("/dev/full");
  log.train(kStep);
  EXPECT_NO_THROW(log.flush());
  EXPECT_THROW(log.sync(), StorageError);
  // As many as there is room for; the rest is dropped, not kept for ever.
  for (int step = 0; step < 100'000; ++step) log.train(kStep);
  EXPECT_NO_THROW(log.flush());
}

/// A pipe that nobody empties takes a part of a line, then nothing, then the rest.
TEST(MetricsLog, HalfALineIsCompletedWhenThereIsRoomAgain) {
  const TemporaryFolder folder;
  const std::string pipe = (folder.path() / "pipe").string();
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  const int reader = open(pipe.c_str(), O_RDONLY | O_NONBLOCK);
  ASSERT_GE(reader, 0);
  std::string text;
  const auto take = [&] {
    std::array<char, 1 << 16> bytes{};
    for (ssize_t got = 0; (got = read(reader, bytes.data(), bytes.size())) > 0;) text.append(bytes.data(), got);
  };
  constexpr int kLines = 2000;
  {
    MetricsLog log(pipe);
    ASSERT_EQ(fcntl(log_descriptor(pipe), F_SETFL, O_WRONLY | O_APPEND | O_NONBLOCK), 0);
    for (int step = 0; step < kLines; ++step) log.train(kStep);
    for (int turn = 0; turn < 20; ++turn) {
      log.flush();
      take();
    }
  }
  take();
  close(reader);
  std::istringstream lines(text);
  int whole = 0;
  for (std::string line; std::getline(lines, line);) whole += nlohmann::json::accept(line) ? 1 : 0;
  EXPECT_EQ(whole, kLines);
}

TEST(MetricsLog, AMissingFolderIsAStorageError) {
  const TemporaryFolder folder;
  EXPECT_THROW(MetricsLog(folder.path() / "none" / "metrics.jsonl"), StorageError);
}

}  // namespace
}  // namespace athanor
