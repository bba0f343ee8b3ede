// The whole program under the shim: every system call on the files of a run fails once in every way. Whatever happens,
// the same command once more ends with the weights and the metrics of a run that nothing happened to.
#include <gmock/gmock.h>
#include <signal.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "faults/saver.h"
#include "support/temporary_folder.h"

namespace athanor::faults {
namespace {

namespace fs = std::filesystem;

constexpr const char* kRecipe = R"(name: tiny
data: {name: glyphs, train_size: 64, test_size: 20, side: 16}
model: {input: [1, 16, 16], layers: [flatten, {linear: 10}]}
train: {epochs: 2, batch: 16, shards: 2, shard_threads: 1}
optimizer: {name: sgd, lr: 0.05, momentum: 0.9}
ema: {decay: 0.9}
eval: {batch: 20}
checkpoint: {every_steps: 3, keep: 2}
)";

std::string read_file(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// `athanor train` in `run`, all files of which the shim watches.
int train(const fs::path& recipe, const fs::path& run, const FaultSpec& fault, const fs::path& trace = {}) {
  return run_under_shim({ATHANOR_PROGRAM, "train", recipe.string(), "--run", run.string()}, run, fault, trace);
}

/// What a run computed: the weights' hash, and of each line of the metrics what does not depend on time.
std::vector<std::string> results_of(const fs::path& run) {
  std::vector<std::string> results;
  std::ifstream lines(run / "metrics.jsonl");
  for (std::string line; std::getline(lines, line);) {
    const nlohmann::json json = nlohmann::json::parse(line, nullptr, false);
    if (json.is_discarded()) {
      results.push_back("torn: " + line);
    } else if (json["kind"] == "train") {
      results.push_back(nlohmann::json{json["step"], json["loss"], json["grad_norm"]}.dump());
    } else if (json["kind"] == "eval") {
      results.push_back(nlohmann::json{json["step"], json["loss"], json["accuracy"]}.dump());
    }
  }
  const nlohmann::json summary = nlohmann::json::parse(read_file(run / "summary.json"), nullptr, false);
  results.push_back(summary.is_object() ? summary.value("weights_sha256", "none") : "no summary");
  return results;
}

/// Half-made files; those of an attempt that was moved aside are its own.
std::vector<std::string> leftovers_in(const fs::path& run) {
  std::vector<std::string> left;
  for (const auto& entry : fs::recursive_directory_iterator(run)) {
    if (entry.path().string().find("/previous-") != std::string::npos) continue;
    const std::string name = entry.path().filename().string();
    if (name.ends_with(".tmp") || name.ends_with(".part") || name.ends_with(".corrupt")) left.push_back(name);
  }
  return left;
}

class TrainingUnderFaults : public ::testing::TestWithParam<const char*> {};

TEST_P(TrainingUnderFaults, TheSameCommandOnceMoreEndsAsIfNothingHadHappened) {
  const testing::TemporaryFolder root;
  const fs::path recipe = root / "r.yaml";
  std::ofstream(recipe) << kRecipe;
  ASSERT_EQ(train(recipe, root / "unbroken", {}, root / "trace"), 0);
  const std::vector<std::string> want = results_of(root / "unbroken");
  const int calls = count_calls(read_trace(root / "trace"));
  ASSERT_GT(calls, 30);
  int failed = 0;
  for (int k = 1; k <= calls; ++k) {
    SCOPED_TRACE(std::string(GetParam()) + " at call " + std::to_string(k) + " of " + std::to_string(calls));
    const fs::path run = root / ("run" + std::to_string(k));
    const int code = train(recipe, run, {GetParam(), k});
    ASSERT_TRUE(code == 0 || code == 4 || code == -SIGKILL) << code;
    failed += code != 0;
    ASSERT_EQ(train(recipe, run, {}), 0);
    ASSERT_EQ(results_of(run), want);
    // A run that was done before, though a file could not be removed, is not begun again.
    if (code != 0) {
      ASSERT_THAT(leftovers_in(run), ::testing::IsEmpty());
    }
    fs::remove_all(run);
  }
  if (std::string(GetParam()) != "short") {
    EXPECT_GT(failed, 0);
  }
}

INSTANTIATE_TEST_SUITE_P(, TrainingUnderFaults, ::testing::Values("kill", "torn", "enospc", "eio", "short"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace athanor::faults
