#include "train/trainer.h"

#include <gmock/gmock.h>
#include <sched.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "backend/backend.h"
#include "base/error.h"
#include "io/checkpoint_file.h"
#include "train/hardware.h"
#include "train/tiny_run.h"

namespace athanor {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::kTinySteps;
using testing::kTinyTest;
using testing::message_of;
using testing::metrics_of;
using testing::read_file;
using testing::TemporaryFolder;
using testing::tiny_recipe;
using testing::train_tiny;
using testing::write_file;

/// Everything in a folder but the lock, by relative name.
std::map<std::string, std::string> contents(const fs::path& folder) {
  std::map<std::string, std::string> found;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    const std::string name = fs::relative(entry.path(), folder).string();
    if (entry.is_regular_file() && name != ".lock") found[name] = read_file(entry.path());
  }
  return found;
}

TEST(Trainer, WritesALineForEveryStepAndEvaluation) {
  const TemporaryFolder folder;
  train_tiny(folder.path());
  const auto steps = metrics_of(folder.path(), "train");
  ASSERT_EQ(steps.size(), 2 * kTinySteps);
  for (std::size_t i = 0; i < steps.size(); ++i) {
    SCOPED_TRACE(steps[i].dump());
    EXPECT_EQ(steps[i].at("step"), i + 1);
    EXPECT_EQ(steps[i].at("epoch"), i / kTinySteps + 1);
    EXPECT_EQ(steps[i].at("samples"), 32 * (i + 1));
    EXPECT_EQ(steps[i].at("lr"), 0.05);
    for (const char* key : {"loss", "images_per_s", "step_ms", "grad_norm"}) EXPECT_GT(steps[i].at(key), 0) << key;
    for (const char* key : {"data_wait_ms", "comm_exposed_ms"}) EXPECT_GE(steps[i].at(key), 0) << key;
    EXPECT_LE(steps[i].at("data_wait_ms"), steps[i].at("step_ms"));
  }
  const auto evaluations = metrics_of(folder.path(), "eval");
  ASSERT_EQ(evaluations.size(), 2u);
  for (std::size_t i = 0; i < evaluations.size(); ++i) {
    SCOPED_TRACE(evaluations[i].dump());
    EXPECT_EQ(evaluations[i].at("step"), kTinySteps * (i + 1));
    EXPECT_EQ(evaluations[i].at("epoch"), i + 1);
    EXPECT_EQ(evaluations[i].at("split"), "test");
    EXPECT_EQ(evaluations[i].at("samples"), kTinyTest);
    EXPECT_GT(evaluations[i].at("loss"), 0);
    EXPECT_GE(evaluations[i].at("accuracy"), 0);
    EXPECT_LE(evaluations[i].at("accuracy"), evaluations[i].at("top5"));
    EXPECT_LE(evaluations[i].at("top5"), 1);
  }
}

TEST(Trainer, SummarySaysHowItEnded) {
  const TemporaryFolder folder;
  const Summary summary = train_tiny(folder.path());
  const auto json = nlohmann::json::parse(read_file(folder.path() / "summary.json"));
  EXPECT_EQ(json.at("status"), "done");
  EXPECT_EQ(json.at("steps"), 2 * kTinySteps);
  EXPECT_EQ(json.at("samples"), 2 * kTinySteps * 32);
  EXPECT_EQ(json.at("epochs"), 2);
  EXPECT_EQ(json.at("world_size"), 1);
  EXPECT_EQ(json.at("shards"), 4);
  EXPECT_EQ(json.at("shard_threads"), 1);
  EXPECT_EQ(json.at("backend"), "cpu");
  EXPECT_EQ(json.at("precision"), "fp32");
  EXPECT_EQ(json.at("skipped_steps"), 0);
  EXPECT_TRUE(json.at("error").is_null());
  for (const char* key : {"train_seconds", "images_per_s", "loss", "peak_bytes", "start_seconds"}) {
    EXPECT_GT(json.at(key), 0) << key;
  }
  EXPECT_EQ(json.at("weights_sha256").get<std::string>().size(), 64u);
  const auto evaluations = metrics_of(folder.path(), "eval");
  EXPECT_EQ(json.at("accuracy"), evaluations.back().at("accuracy"));
  EXPECT_EQ(json.at("best_accuracy"),
            std::max(evaluations[0].at("accuracy").get<double>(), evaluations[1].at("accuracy").get<double>()));
  EXPECT_EQ(summary.weights_sha256, json.at("weights_sha256"));
}

TEST(Trainer, RecipeFileSaysWithWhatItWasMadeAndReadsBack) {
  const TemporaryFolder folder;
  train_tiny(folder.path(), {"train.max_steps=1"});
  const std::string text = read_file(folder.path() / "recipe.yaml");
  EXPECT_THAT(
      text, AllOf(HasSubstr("# Athanor "), HasSubstr("oneDNN "), HasSubstr("# processor: "), HasSubstr("# kernels: ")));
  const Recipe read = read_recipe((folder.path() / "recipe.yaml").string());
  EXPECT_FALSE(first_difference(read, tiny_recipe()).has_value());
  EXPECT_EQ(read.train.max_steps, 1);
}

TEST(Trainer, LogHoldsFirstScreenEvaluationsAndSummary) {
  const TemporaryFolder folder;
  const Summary summary = train_tiny(folder.path());
  const std::string log = read_file(folder.path() / "log.txt");
  EXPECT_THAT(log, AllOf(HasSubstr("Athanor "), HasSubstr("FLOPs/image"), HasSubstr("data.validation is 0"),
                         HasSubstr("step 12, epoch 2: test loss"), HasSubstr(summary.weights_sha256)));
}

TEST(Trainer, AFinishedRunIsLeftAlone) {
  const TemporaryFolder folder;
  const Summary first = train_tiny(folder.path());
  const auto before = contents(folder.path());
  const Summary again = train_tiny(folder.path());
  EXPECT_EQ(again.status, "done");
  EXPECT_EQ(again.weights_sha256, first.weights_sha256);
  EXPECT_EQ(contents(folder.path()), before);
  EXPECT_EQ(train_tiny(folder.path(), {"train.epochs=1"}).steps, first.steps) << "fewer epochs are done too";
  EXPECT_EQ(contents(folder.path()), before);
}

TEST(Trainer, AnUnfinishedRunStartsOverAndIsKept) {
  const TemporaryFolder folder;
  const Summary first = train_tiny(folder.path());
  const std::string metrics = read_file(folder.path() / "metrics.jsonl");
  write_file(folder.path() / "summary.json", R"({"status": "interrupted"})");
  fs::remove_all(folder.path() / "checkpoints");
  const Summary again = train_tiny(folder.path());
  EXPECT_EQ(again.status, "done");
  EXPECT_EQ(again.weights_sha256, first.weights_sha256);
  EXPECT_EQ(read_file(folder.path() / "previous-1" / "metrics.jsonl"), metrics);
  EXPECT_EQ(metrics_of(folder.path(), "train").size(), 2 * kTinySteps);
}

TEST(Trainer, AnotherRecipeIsRefusedAndNothingChanges) {
  const TemporaryFolder folder;
  train_tiny(folder.path(), {"train.epochs=1"});
  const auto before = contents(folder.path());
  const std::string message = message_of<UsageError>([&] {
    train_tiny(folder.path(), {"train.epochs=1", "optimizer.lr=0.1"});
  });
  EXPECT_THAT(message, AllOf(HasSubstr("optimizer.lr is 0.05 there and 0.1 here"), HasSubstr("--run")));
  EXPECT_EQ(contents(folder.path()), before);
}

TEST(Trainer, MaxStepsEndsWithinAnEpoch) {
  const TemporaryFolder folder;
  const Summary summary = train_tiny(folder.path(), {"train.max_steps=8"});
  EXPECT_EQ(summary.status, "done");
  EXPECT_EQ(summary.steps, 8);
  EXPECT_EQ(summary.epochs, 1);
  const auto evaluations = metrics_of(folder.path(), "eval");
  ASSERT_EQ(evaluations.size(), 2u);
  EXPECT_EQ(evaluations[1].at("step"), 8);
  EXPECT_EQ(evaluations[1].at("epoch"), 2);
}

TEST(Trainer, EvaluatesAtTheEndWhereNoEvaluationIsAskedFor) {
  const TemporaryFolder folder;
  train_tiny(folder.path(), {"eval.every_epochs=0"});
  EXPECT_EQ(metrics_of(folder.path(), "eval").size(), 1u);
}

TEST(Trainer, HoldOutDrivesBestAndTheTestSplitWaitsForTheEnd) {
  const TemporaryFolder folder;
  const Summary summary = train_tiny(folder.path(), {"data.validation=70", "train.epochs=3"});
  EXPECT_EQ(summary.steps, 3 * ((200 - 70) / 32));
  const auto evaluations = metrics_of(folder.path(), "eval");
  ASSERT_EQ(evaluations.size(), 4u);
  double best = 0;
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(evaluations[i].at("split"), "validation");
    EXPECT_EQ(evaluations[i].at("samples"), 70);
    best = std::max(best, evaluations[i].at("accuracy").get<double>());
  }
  EXPECT_EQ(evaluations[3].at("split"), "test");
  EXPECT_EQ(evaluations[3].at("samples"), kTinyTest);
  EXPECT_EQ(summary.best_accuracy, best);
  EXPECT_EQ(summary.accuracy, evaluations[3].at("accuracy"));
}

/// No evaluation can improve on the first by 1e9, so that every later one is without improvement.
TEST(Trainer, EvaluationsDriveReduceOnPlateau) {
  const TemporaryFolder folder;
  train_tiny(folder.path(), {"train.epochs=4", "schedule.name=reduce_on_plateau", "schedule.factor=0.5",
                             "schedule.patience=0", "schedule.threshold=1e9", "schedule.threshold_mode=abs"});
  const auto steps = metrics_of(folder.path(), "train");
  ASSERT_EQ(steps.size(), 4 * kTinySteps);
  const double rates[] = {0.05, 0.05, 0.025, 0.0125};
  for (std::size_t i = 0; i < steps.size(); ++i) {
    EXPECT_DOUBLE_EQ(steps[i].at("lr"), rates[i / kTinySteps]) << "step " << i + 1;
  }
}

TEST(Trainer, StopsWhereTheNumbersGoBad) {
  const TemporaryFolder folder;
  const auto act = [&] { train_tiny(folder.path(), {"optimizer.lr=1e30"}); };
  const std::string message = message_of<NumericsError>(act);
  EXPECT_THAT(message, AllOf(HasSubstr("step 2: "), HasSubstr("not finite"), HasSubstr("learning rate 1e+30"),
                             HasSubstr("first bad output: "), HasSubstr("of layer "), HasSubstr("sample indices")));
  EXPECT_THAT(message, HasSubstr(", … and 24 more"));
  const auto json = nlohmann::json::parse(read_file(folder.path() / "summary.json"));
  EXPECT_EQ(json.at("status"), "failed");
  const std::string error = json.at("error");
  EXPECT_EQ(std::count(error.begin(), error.end(), ','), 32 - 1 + 3) << "all 32 indices: " << error;
  EXPECT_EQ(json.at("steps"), 1);
  EXPECT_THAT(read_file(folder.path() / "log.txt"), HasSubstr(error));
  EXPECT_EQ(metrics_of(folder.path()).size(), 1u);
}

/// The first update leaves finite weights so large that every later step overflows: all of them are left out, and the
/// weights keep the bits that they had after step 1.
TEST(Trainer, SkippedUpdatesLeaveTheWeightsAlone) {
  const TemporaryFolder skipping, once;
  const std::vector<std::string> bad = {"optimizer.lr=1e30", "train.on_nonfinite=skip"};
  const Summary summary = train_tiny(skipping.path(), bad);
  EXPECT_EQ(summary.status, "done");
  EXPECT_EQ(summary.steps, 2 * kTinySteps);
  EXPECT_EQ(summary.skipped_steps, 2 * kTinySteps - 1);
  const CheckpointContents saved = read_checkpoint(skipping.path() / "checkpoints" / "step-000000012.h5");
  ASSERT_FALSE(saved.tensors.empty());
  for (const CheckpointTensor& tensor : saved.tensors) {
    for (const float value : tensor.values) ASSERT_TRUE(std::isfinite(value)) << tensor.name;
  }
  EXPECT_EQ(train_tiny(once.path(), {bad[0], bad[1], "train.max_steps=1"}).weights_sha256, summary.weights_sha256);
  EXPECT_THAT(read_file(skipping.path() / "log.txt"), HasSubstr("update skipped, 8 so far"));
}

/// Limits this process to some of its cpus for as long as it lives.
class CpuLimit {
 public:
  explicit CpuLimit(std::size_t count) {
    sched_getaffinity(0, sizeof before_, &before_);
    cpu_set_t fewer;
    CPU_ZERO(&fewer);
    const std::vector<int> ids = allowed_cpu_ids();
    for (std::size_t i = 0; i < std::min(count, ids.size()); ++i) CPU_SET(static_cast<std::size_t>(ids[i]), &fewer);
    sched_setaffinity(0, sizeof fewer, &fewer);
  }
  ~CpuLimit() { sched_setaffinity(0, sizeof before_, &before_); }

 private:
  cpu_set_t before_;
};

TEST(Trainer, GivesTheSameBitsOnOneCoreAndOnTwo) {
  if (allowed_cpu_ids().size() < 2) GTEST_SKIP() << "this process may use one core only";
  const TemporaryFolder narrow, wide;
  std::string hash;
  {
    const CpuLimit limit(1);
    hash = train_tiny(narrow.path()).weights_sha256;
  }
  EXPECT_EQ(train_tiny(wide.path()).weights_sha256, hash);
  EXPECT_THAT(read_file(narrow.path() / "log.txt"), HasSubstr("1 shard side by side"));
  EXPECT_THAT(read_file(wide.path() / "log.txt"), ::testing::Not(HasSubstr("1 shard side by side")));
}

TEST(Trainer, AFinishedRunIsDoneOnAMachineWithOtherCores) {
  if (allowed_cpu_ids().size() < 2) GTEST_SKIP() << "this process may use one core only";
  const TemporaryFolder folder;
  const std::vector<std::string> machine_decides{"train.shards=1", "train.shard_threads=0"};
  const Summary wide = train_tiny(folder.path(), machine_decides);
  const CpuLimit limit(1);
  EXPECT_EQ(train_tiny(folder.path(), machine_decides).weights_sha256, wide.weights_sha256);
}

TEST(Trainer, SeedsDecideTheWeights) {
  const TemporaryFolder one, same, other;
  const std::string hash = train_tiny(one.path()).weights_sha256;
  EXPECT_EQ(train_tiny(same.path()).weights_sha256, hash);
  EXPECT_NE(train_tiny(other.path(), {"train.seed=2"}).weights_sha256, hash);
}

TEST(Trainer, SaysWhatACudaRunNeedsAndMakesNothing) {
  const TemporaryFolder folder;
  if (has_cuda()) GTEST_SKIP() << "this machine has a GPU";
  const fs::path run = folder.path() / "run";
  EXPECT_THAT(message_of<DeviceError>([&] { train_tiny(run, {"device=cuda"}); }),
              AllOf(HasSubstr("device is cuda"), HasSubstr("use device=cpu")));
  EXPECT_FALSE(fs::exists(run));
}

}  // namespace
}  // namespace athanor
