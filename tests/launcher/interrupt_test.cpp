// Ctrl-C on the real program.
#include <poll.h>
#include <sys/syscall.h>

#include "program.h"

namespace athanor::launcher_test {
namespace {

using Clock = std::chrono::steady_clock;

/// Waits until the program ends, for at most `timeout_ms`; true when it did. Leaves it to be reaped.
bool ends_within(pid_t child, int timeout_ms) {
  pollfd ended{static_cast<int>(syscall(SYS_pidfd_open, child, 0)), POLLIN, 0};
  const bool is_over = poll(&ended, 1, timeout_ms) == 1;
  close(ended.fd);
  return is_over;
}

/// Waits until the program has printed `text`, or ended.
bool wait_for_output(const Folders& folders, pid_t child, const std::string& text) {
  const auto deadline = Clock::now() + std::chrono::seconds(60);
  while (Clock::now() < deadline) {
    if (read_file(folders.out()).find(text) != std::string::npos) return true;
    if (ends_within(child, 10)) break;
  }
  return false;
}

int wait_for_end(pid_t child) {
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  return status;
}

TEST(Interrupt, EndsAfterTheStepInHandWithFilesClosed) {
  const Folders folders;
  write_text(folders.home() / "r.yaml", kTiny);
  const pid_t child = start_program(folders, {"train", "r.yaml", "train.epochs=100000", "--run", "here"}, "/none");
  const bool began = wait_for_output(folders, child, "files in");
  ASSERT_EQ(kill(child, SIGINT), 0);
  const Outcome outcome = outcome_of(folders, wait_for_end(child));
  ASSERT_TRUE(began) << outcome.out << outcome.err;
  EXPECT_EQ(outcome.code, 75) << outcome.err;
  const auto summary = nlohmann::json::parse(read_file(folders.home() / "here/summary.json"));
  EXPECT_EQ(summary.at("status"), "preempted");
  EXPECT_THAT(outcome.out, ::testing::ContainsRegex("weights +at step [0-9,]+ of 2,000,000, saved"));
  // Every line of the metrics is whole.
  std::istringstream lines(read_file(folders.home() / "here/metrics.jsonl"));
  std::int64_t steps = 0;
  for (std::string line; std::getline(lines, line);) {
    if (nlohmann::json::parse(line).at("kind") == "train") ++steps;
  }
  EXPECT_EQ(summary.at("steps"), steps);
  // The same line again goes on from there.
  const Outcome again = run_program(
      folders, {"train", "r.yaml", fmt::format("train.max_steps={}", steps + 3), "--run", "here", "--json"});
  EXPECT_EQ(again.code, 0) << again.err;
  EXPECT_EQ(again.json().at("steps"), steps + 3);
  EXPECT_THAT(again.err, ::testing::HasSubstr("goes on from"));
}

TEST(Interrupt, ASecondOneEndsAStepThatTakesLong) {
  const Folders folders;
  // A step of minutes: 4,096 colour images of 64×64 through 110 layers.
  write_text(folders.home() / "r.yaml",
             "data: {name: glyphs, channels: 3, side: 64, train_size: 4096, test_size: 10}\n"
             "model: {name: cifar_resnet, depth: 110, classes: 10}\n"
             "train: {batch: 4096, shards: 1024, shard_threads: 1}\noptimizer: {name: sgd, lr: 0.1}\n"
             "eval: {batch: 10}\n");
  const pid_t child = start_program(folders, {"train", "r.yaml", "--run", "here"}, "/none");
  const bool began = wait_for_output(folders, child, "files in");
  ASSERT_EQ(kill(child, SIGINT), 0);
  EXPECT_FALSE(ends_within(child, 300)) << "the step was to take long";
  const auto second = Clock::now();
  kill(child, SIGINT);
  if (!ends_within(child, 20000)) kill(child, SIGKILL);
  const double seconds = std::chrono::duration<double>(Clock::now() - second).count();
  const int status = wait_for_end(child);
  ASSERT_TRUE(began) << read_file(folders.err());
  EXPECT_EQ(outcome_of(folders, status).code, 130);
  EXPECT_LT(seconds, 2);
}

}  // namespace
}  // namespace athanor::launcher_test
