// Which checkpoints a run leaves, when, and what happens where one cannot be written.
#include <gmock/gmock.h>

#include "base/error.h"
#include "io/checkpoint_file.h"
#include "train/tiny_run.h"

namespace athanor {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::message_of;
using testing::metrics_of;
using testing::read_file;
using testing::TemporaryFolder;
using testing::tiny_recipe;
using testing::train_tiny;
using testing::write_file;

std::vector<std::int64_t> saved_steps(const fs::path& folder) {
  std::vector<std::int64_t> steps;
  for (const auto& entry : fs::directory_iterator(folder / "checkpoints")) {
    steps.push_back(std::stoll(entry.path().filename().string().substr(5)));
  }
  std::sort(steps.begin(), steps.end());
  return steps;
}

TEST(Checkpoints, AreSavedAtTheIntervalsAndAtTheEnd) {
  const TemporaryFolder by_epochs, by_steps, neither;
  train_tiny(by_epochs.path(), {"train.epochs=3"});
  EXPECT_THAT(saved_steps(by_epochs.path()), ElementsAre(6, 12, 18));
  train_tiny(by_steps.path(), {"checkpoint.every_epochs=0", "checkpoint.every_steps=5", "checkpoint.best=false"});
  EXPECT_THAT(saved_steps(by_steps.path()), ElementsAre(5, 10, 12));
  train_tiny(neither.path(), {"checkpoint.every_epochs=0"});
  EXPECT_THAT(saved_steps(neither.path()), ElementsAre(12));
}

TEST(Checkpoints, OfTheLastStepsEveryNthAndTheBestAreKept) {
  const TemporaryFolder folder;
  train_tiny(folder.path(), {"checkpoint.every_steps=2", "checkpoint.keep=2", "checkpoint.keep_every=4",
                             "checkpoint.best=false", "train.max_steps=11"});
  EXPECT_THAT(saved_steps(folder.path()), ElementsAre(4, 8, 10, 11));
  // The first evaluation cannot be improved on: every later one has a learning rate of nothing.
  const TemporaryFolder best;
  train_tiny(best.path(), {"train.epochs=5", "checkpoint.keep=1", "optimizer={name: sgd, lr: 1e-30}",
                           "data.validation=40", "model.layers.1={batch_norm: {momentum: 0}}"});
  EXPECT_THAT(saved_steps(best.path()), ElementsAre(5, 25));
}

TEST(Checkpoints, SayWhatTheyCost) {
  const TemporaryFolder folder;
  train_tiny(folder.path());
  const auto lines = metrics_of(folder.path(), "checkpoint");
  ASSERT_EQ(lines.size(), 2u);
  for (const nlohmann::json& line : lines) {
    EXPECT_GT(line.at("stall_ms"), 0);
    EXPECT_GT(line.at("write_ms"), 0);
    const fs::path path = line.at("path").get<std::string>();
    EXPECT_EQ(line.at("bytes"), fs::file_size(path));
    EXPECT_EQ(read_checkpoint(path).step, line.at("step"));
  }
}

TEST(Checkpoints, HoldTheRunsFactsAndState) {
  const TemporaryFolder folder;
  const Summary summary = train_tiny(folder.path(), {"ema.decay=0.9"});
  const CheckpointContents saved = read_checkpoint(folder.path() / "checkpoints/step-000000012.h5");
  EXPECT_EQ(saved.epoch, 2);
  EXPECT_EQ(saved.samples, 384);
  EXPECT_EQ(saved.numbers.at("seed"), 1);
  EXPECT_EQ(saved.numbers.at("shards"), 4);
  EXPECT_EQ(saved.numbers.at("updates"), 12);
  EXPECT_EQ(saved.reals.at("accuracy"), summary.accuracy);
  EXPECT_EQ(saved.reals.at("best_accuracy"), summary.best_accuracy);
  for (const char* key : {"plan_fingerprint", "train_data_fingerprint", "test_data_fingerprint", "isa", "provenance"}) {
    EXPECT_FALSE(saved.attributes.at(key).empty()) << key;
  }
  std::map<std::string, int> groups;
  for (const CheckpointTensor& tensor : saved.tensors) ++groups[tensor.group];
  const std::map<std::string, int> want{
      {"parameters", 6}, {"statistics", 2}, {"average", 8}, {"optimizer/momentum_buffer", 6}};
  EXPECT_EQ(groups, want);
  EXPECT_FALSE(first_difference(parse_recipe(saved.recipe_text, "saved"), tiny_recipe({"ema.decay=0.9"})));
}

/// A folder stands where the file is to be, so that the rename fails, whoever asks for it.
void block(const fs::path& run, std::int64_t step) {
  fs::create_directories(run / "checkpoints" / fmt::format("step-{:09d}.h5", step) / "in the way");
}

Summary train_blocked(const fs::path& folder, std::int64_t step, std::vector<std::string> overrides) {
  TrainOptions options{.run = folder, .quiet = true};
  options.after_step = [&](std::int64_t done) {
    if (done == 1) block(folder, step);
  };
  return train(tiny_recipe(overrides), options);
}

TEST(Checkpoints, ThatFailAreLoggedAndTrainingGoesOn) {
  const TemporaryFolder folder;
  const Summary summary = train_blocked(folder.path(), 6, {});
  EXPECT_EQ(summary.status, "done");
  EXPECT_EQ(metrics_of(folder.path(), "checkpoint").size(), 1u);
  EXPECT_THAT(read_file(folder.path() / "log.txt"), HasSubstr("training goes on"));
}

TEST(Checkpoints, ThatAreRequiredEndTheRunWhereTheyFail) {
  const TemporaryFolder folder;
  EXPECT_THAT(message_of<StorageError>([&] { train_blocked(folder.path(), 6, {"checkpoint.required=true"}); }),
              HasSubstr("step-000000006.h5"));
}

TEST(Checkpoints, ThatFailAfterTheLastStepLeaveTheRunUnfinished) {
  const TemporaryFolder folder;
  EXPECT_THAT(message_of<StorageError>([&] { train_blocked(folder.path(), 12, {}); }),
              HasSubstr("last checkpoint could not be written"));
  EXPECT_EQ(read_status(folder.path()), "failed");
  fs::remove_all(folder.path() / "checkpoints/step-000000012.h5");
  EXPECT_EQ(train_tiny(folder.path()).status, "done");
}

TEST(Checkpoints, NeedAFolderThatTakesThemBeforeStepZero) {
  const TemporaryFolder folder;
  write_file(folder.path() / "taken", "a file");
  EXPECT_THROW(train_tiny(folder.path() / "taken" / "run"), StorageError);
}

}  // namespace
}  // namespace athanor
