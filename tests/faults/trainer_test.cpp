// The whole program under the shim: whatever call on its run folder fails, or kills it, the same command given again
// ends in the weights and the metrics of a run that nothing happened to.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <sstream>

#include "faults/saver.h"
#include "support/temporary_folder.h"

namespace athanor::faults {
namespace {

namespace fs = std::filesystem;

constexpr const char* kRecipe = R"(name: tiny
data: {name: glyphs, train_size: 40, test_size: 7, side: 16}
model:
  input: [1, 16, 16]
  layers: [conv: {channels: 2, kernel: 3}, batch_norm, relu, flatten, linear: 10]
train: {epochs: 3, batch: 8, shards: 2, shard_threads: 1}
optimizer: {name: sgd, lr: 0.05, momentum: 0.9}
checkpoint: {every_steps: 4, keep: 2}
)";

std::string read_file(const fs::path& file) {
  std::ifstream in(file);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// `athanor train` in `home`, into home/run, with the call that `fault` names failing. The exit code, or −signal.
int train(const fs::path& home, const FaultSpec& fault, const fs::path& trace = {}) {
  constexpr unsigned kDeadlineSeconds = 60;
  const std::string run = (home / "run").string(), at = std::to_string(fault.at);
  const pid_t child = fork();
  if (child == 0) {
    if (chdir(home.c_str()) != 0) _exit(126);
    if (fault.at > 0 || !trace.empty()) {
      setenv("LD_PRELOAD", ATHANOR_FAULT_SHIM, 1);
      setenv("ASAN_OPTIONS", "verify_asan_link_order=0", 1);
      setenv("ATHANOR_FAULT_FOLDER", run.c_str(), 1);
      setenv("ATHANOR_FAULT_AT", at.c_str(), 1);
      setenv("ATHANOR_FAULT_DO", fault.kind.c_str(), 1);
      if (!trace.empty()) setenv("ATHANOR_FAULT_TRACE", trace.c_str(), 1);
    }
    const int nowhere = open("/dev/null", O_WRONLY);
    dup2(nowhere, STDOUT_FILENO);
    dup2(nowhere, STDERR_FILENO);
    alarm(kDeadlineSeconds);
    execl(ATHANOR_PROGRAM, ATHANOR_PROGRAM, "train", "r.yaml", "--run", "run", nullptr);
    _exit(127);
  }
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

struct Home {
  Home() { std::ofstream(folder.path() / "r.yaml") << kRecipe; }
  const fs::path& path() const { return folder.path(); }
  testing::TemporaryFolder folder;
};

/// What the mathematics decide: the weights, and each line of the metrics without its times.
std::vector<std::string> results_of(const fs::path& home) {
  const nlohmann::json summary = nlohmann::json::parse(read_file(home / "run/summary.json"), nullptr, false);
  if (!summary.is_object()) return {"no summary"};
  std::vector<std::string> results{summary.at("status"), summary.at("weights_sha256")};
  std::istringstream lines(read_file(home / "run/metrics.jsonl"));
  for (std::string line; std::getline(lines, line);) {
    const nlohmann::json json = nlohmann::json::parse(line);
    if (json.at("kind") == "checkpoint") continue;
    results.push_back(json.at("kind").get<std::string>() + " " + json.at("step").dump() + " " + json.at("loss").dump() +
                      " " + (json.contains("lr") ? json.at("grad_norm") : json.at("accuracy")).dump());
  }
  return results;
}

class Program : public ::testing::TestWithParam<const char*> {};

TEST_P(Program, GivenAgainEndsLikeARunThatNothingHappenedTo) {
  const std::string kind = GetParam();
  const Home unbroken;
  ASSERT_EQ(train(unbroken.path(), {}, unbroken.path() / "trace"), 0);
  const int calls = count_calls(read_trace(unbroken.path() / "trace"));
  const std::vector<std::string> want = results_of(unbroken.path());
  ASSERT_EQ(want.size(), 2u + 15u + 3u);
  ASSERT_GT(calls, 40);
  int failed = 0;
  for (int k = 1; k <= calls; ++k) {
    SCOPED_TRACE(kind + " at call " + std::to_string(k) + " of " + std::to_string(calls));
    const Home home;
    const int code = train(home.path(), {kind, k});
    ASSERT_THAT(code, ::testing::AnyOf(0, 4, -SIGKILL));
    failed += code != 0;
    if (code != 0) {
      ASSERT_EQ(train(home.path(), {}), 0);
    }
    ASSERT_EQ(results_of(home.path()), want) << code;
  }
  EXPECT_GT(failed, 0);
}

INSTANTIATE_TEST_SUITE_P(, Program, ::testing::Values("kill", "torn", "enospc"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace athanor::faults
