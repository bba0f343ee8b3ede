// `athanor bench …` from the outside: exit codes, and one JSON object as the last line of standard output.
#include <gtest/gtest.h>
#include <stdio.h>
#include <sys/wait.h>

#include <nlohmann/json.hpp>
#include <string>

namespace athanor {
namespace {

struct Result {
  int exit_code = -1;
  std::string output;
};

/// Standard error goes where the test's goes, unless the command says otherwise.
Result run(const std::string& arguments) {
  Result result;
  FILE* pipe = popen((std::string(ATHANOR_PROGRAM) + " bench " + arguments).c_str(), "r");
  if (pipe == nullptr) return result;
  char buffer[4096];
  while (const std::size_t count = fread(buffer, 1, sizeof buffer, pipe)) result.output.append(buffer, count);
  const int status = pclose(pipe);
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return result;
}

const std::string kRecipe = std::string(ATHANOR_SOURCE_DIR) + "/configs/glyphs/quickstart.yaml";
const std::string kSmall = " data.train_size=256 data.test_size=64 ";

TEST(BenchCommand, StepPrintsOneJsonObjectAndItsTextApart) {
  const Result result = run("step " + kRecipe + kSmall + "--batch 16 --threads 1 --seconds 0.3 --json");
  ASSERT_EQ(result.exit_code, 0);
  const auto json = nlohmann::json::parse(result.output);
  EXPECT_EQ(json["benchmark"], "step");
  EXPECT_EQ(json["batch"], 16);
  EXPECT_EQ(json["threads"], 1);
  EXPECT_GT(json["images_per_s"]["median"], 0);
}

TEST(BenchCommand, EvaluationTakesItsBatchFromTheCommandLine) {
  const Result result = run("step " + kRecipe + kSmall + "--evaluation --batch 32 --threads 1 --seconds 0.2 --json");
  ASSERT_EQ(result.exit_code, 0);
  const auto json = nlohmann::json::parse(result.output);
  EXPECT_EQ(json["pass"], "evaluation");
  EXPECT_EQ(json["batch"], 32);
  EXPECT_GT(json["start_ms"], 0);
}

TEST(BenchCommand, LoaderSaysHowFastAndHowLongOneWaits) {
  const Result result = run("loader " + kRecipe + kSmall + "--seconds 0.2 --workers 2 --json");
  ASSERT_EQ(result.exit_code, 0);
  const auto json = nlohmann::json::parse(result.output);
  EXPECT_EQ(json["workers"], 2);
  EXPECT_GT(json["images_per_s"], 0);
  EXPECT_GE(json["wait_share"], 0);
  EXPECT_LE(json["wait_share"], 1);
}

TEST(BenchCommand, HeartbeatSaysWhatAStepAndTheServicePay) {
  const Result result = run("heartbeat --ranks 20 --seconds 1 --json");
  ASSERT_EQ(result.exit_code, 0);
  const auto json = nlohmann::json::parse(result.output);
  EXPECT_EQ(json["ranks"], 20);
  EXPECT_GT(json["beats_per_s"], 5);
  EXPECT_GT(json["board_ns"], 0);
  EXPECT_GT(json["service_share"], 0);
  EXPECT_EQ(json["dropped"], 0);
}

TEST(BenchCommand, WithoutAMeasurementIsAUsageError) {
  EXPECT_EQ(run("2>/dev/null").exit_code, 2);
  EXPECT_EQ(run("step " + kRecipe + kSmall + "--threads 100000 2>/dev/null").exit_code, 2);
  EXPECT_EQ(run("step " + kRecipe + kSmall + "--batch 15 2>/dev/null").exit_code, 2);
}

}  // namespace
}  // namespace athanor
