// Runs that are stopped and go on: the same bits as a run that never stopped, in weights and in metrics.
#include <gmock/gmock.h>
#include <signal.h>

#include <cstring>

#include "base/error.h"
#include "io/checkpoint_file.h"
#include "train/tiny_run.h"

namespace athanor {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::message_of;
using testing::metrics_of;
using testing::read_file;
using testing::TemporaryFolder;
using testing::tiny_recipe;
using testing::train_tiny;
using testing::write_file;

using Overrides = std::vector<std::string>;

/// 20 steps over epochs of 6, so that steps 6, 12 and 18 are borders.
Overrides twenty_steps(const Overrides& more = {}) {
  Overrides overrides{"train.epochs=0", "train.max_steps=20"};
  overrides.insert(overrides.end(), more.begin(), more.end());
  return overrides;
}

/// Trains until step `stop_after`, where a stop is requested in time for it.
Summary train_and_stop(const fs::path& folder, const Overrides& overrides, std::int64_t stop_after) {
  TrainOptions options;
  options.run = folder;
  options.quiet = true;
  options.after_step = [&](std::int64_t step) {
    if (step == stop_after - 1) raise(SIGUSR2);
  };
  return train(tiny_recipe(overrides), options);
}

/// Not finite: null in the file, here −1.
double number(const nlohmann::json& line, const char* key) {
  return line.at(key).is_null() ? -1 : line.at(key).get<double>();
}

/// What the mathematics decide of each line, for comparison by bits.
std::vector<std::vector<double>> columns(const fs::path& folder) {
  std::vector<std::vector<double>> rows;
  for (const nlohmann::json& line : metrics_of(folder)) {
    if (line.at("kind") == "train") {
      rows.push_back({line.at("step"), line.at("epoch"), line.at("samples"), number(line, "loss"),
                      number(line, "grad_norm"), line.at("lr")});
    } else if (line.at("kind") == "eval") {
      rows.push_back({line.at("step"), number(line, "loss"), line.at("accuracy"), line.at("top5"), line.at("samples")});
    }
  }
  return rows;
}

bool same_bits(const std::vector<std::vector<double>>& a, const std::vector<std::vector<double>>& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i].size() != b[i].size() || std::memcmp(a[i].data(), b[i].data(), a[i].size() * sizeof(double)) != 0) {
      return false;
    }
  }
  return true;
}

void expect_same_run(const fs::path& folder, const Summary& ended, const fs::path& unbroken, const Summary& wanted) {
  EXPECT_EQ(ended.status, "done");
  EXPECT_EQ(ended.weights_sha256, wanted.weights_sha256);
  EXPECT_EQ(ended.steps, wanted.steps);
  EXPECT_EQ(ended.samples, wanted.samples);
  EXPECT_EQ(ended.accuracy, wanted.accuracy);
  EXPECT_EQ(ended.best_accuracy, wanted.best_accuracy);
  EXPECT_TRUE(same_bits(columns(folder), columns(unbroken)));
}

/// Stops after each of `steps` in a folder of its own and goes on from there.
void expect_same_bits_after_stops(const Overrides& overrides, const std::vector<std::int64_t>& steps) {
  const TemporaryFolder unbroken;
  const Summary wanted = train_tiny(unbroken.path(), overrides);
  ASSERT_EQ(metrics_of(unbroken.path(), "train").size(), 20u);
  for (const std::int64_t step : steps) {
    SCOPED_TRACE(step);
    const TemporaryFolder folder;
    const Summary stopped = train_and_stop(folder.path(), overrides, step);
    EXPECT_EQ(stopped.status, "preempted");
    EXPECT_EQ(stopped.steps, step);
    EXPECT_EQ(metrics_of(folder.path(), "train").size(), static_cast<std::size_t>(step));
    expect_same_run(folder.path(), train_tiny(folder.path(), overrides), unbroken.path(), wanted);
  }
}

/// A request between step 6 and its evaluation stops there; for step 7 there has to be no evaluation.
TEST(Resume, AfterAnyStepEndsInTheUnbrokenRunsBits) {
  expect_same_bits_after_stops(twenty_steps(), {2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 14, 15, 16, 17, 18});
  expect_same_bits_after_stops(twenty_steps({"eval.every_epochs=0"}), {7, 13, 19});
}

TEST(Resume, MakesUpForAnEvaluationThatAStopCutShort) {
  const TemporaryFolder unbroken, folder;
  const Summary wanted = train_tiny(unbroken.path(), twenty_steps());
  EXPECT_EQ(train_and_stop(folder.path(), twenty_steps(), 7).steps, 6);
  EXPECT_TRUE(metrics_of(folder.path(), "eval").empty());
  expect_same_run(folder.path(), train_tiny(folder.path(), twenty_steps()), unbroken.path(), wanted);
}

TEST(Resume, MayMakeActivationsAgainFromThereOn) {
  const TemporaryFolder unbroken, folder;
  Overrides overrides = twenty_steps({"model={name: cifar_resnet, depth: 8}"});
  const Summary wanted = train_tiny(unbroken.path(), overrides);
  train_and_stop(folder.path(), overrides, 7);
  overrides.push_back("train.recompute=true");
  expect_same_run(folder.path(), train_tiny(folder.path(), overrides), unbroken.path(), wanted);
}

/// What has a past of its own: optimizer slots, averages, random numbers, a schedule that watches evaluations, skipped
/// updates, the counter behind Adam's bias correction.
class ResumeOf : public ::testing::TestWithParam<Overrides> {};

TEST_P(ResumeOf, EverythingThatTheNextStepDependsOnIsInTheCheckpoint) {
  const TemporaryFolder unbroken, folder;
  const Overrides overrides = twenty_steps(GetParam());
  const Summary wanted = train_tiny(unbroken.path(), overrides);
  for (const std::int64_t step : {3, 6, 10, 14}) train_and_stop(folder.path(), overrides, step);
  const Summary ended = train_tiny(folder.path(), overrides);
  expect_same_run(folder.path(), ended, unbroken.path(), wanted);
  EXPECT_EQ(ended.skipped_steps, wanted.skipped_steps);
}

INSTANTIATE_TEST_SUITE_P(
    Settings, ResumeOf,
    ::testing::Values(Overrides{"optimizer={name: adam, lr: 0.01}", "ema.decay=0.9", "ema.warmup=true"},
                      Overrides{"optimizer={name: adamw, lr: 0.01}", "optimizer.clip_norm=0.5"},
                      Overrides{"optimizer={name: rmsprop, lr: 0.01, momentum: 0.9}",
                                "schedule={name: one_cycle, warmup: 0.3}"},
                      Overrides{"optimizer={name: adagrad, lr: 0.05}", "data.validation=8"},
                      Overrides{"data.augment=[random_crop: {padding: 2}, horizontal_flip, cutout: {size: 4}]"},
                      Overrides{"schedule={name: reduce_on_plateau, factor: 0.5, patience: 0, threshold: 1e9, "
                                "threshold_mode: abs}"},
                      Overrides{"optimizer.lr=1e30", "train.on_nonfinite=skip"}));

TEST(Resume, GoesOnFromTheNewestWhenARunWasCutOff) {
  const TemporaryFolder unbroken, folder;
  const Overrides overrides = twenty_steps({"checkpoint.every_steps=4", "checkpoint.every_epochs=0"});
  const Summary wanted = train_tiny(unbroken.path(), overrides);
  train_and_stop(folder.path(), overrides, 11);
  // As a crash leaves it: no summary, steps beyond the checkpoint, half a line.
  fs::remove(folder.path() / "summary.json");
  fs::remove(folder.path() / "checkpoints/step-000000011.h5");
  write_file(folder.path() / "metrics.jsonl",
             read_file(folder.path() / "metrics.jsonl") + R"({"kind":"train","step":1)");
  const Summary ended = train_tiny(folder.path(), overrides);
  expect_same_run(folder.path(), ended, unbroken.path(), wanted);
  EXPECT_FALSE(fs::exists(folder.path() / "previous-1"));
  EXPECT_THAT(read_file(folder.path() / "log.txt"), HasSubstr("step-000000008.h5, step 8 of 20"));
}

TEST(Resume, PassesOverADamagedCheckpointAndSaysWhy) {
  const TemporaryFolder unbroken, folder;
  const Overrides overrides = twenty_steps({"checkpoint.every_steps=4"});
  const Summary wanted = train_tiny(unbroken.path(), overrides);
  train_and_stop(folder.path(), overrides, 11);
  const fs::path newest = folder.path() / "checkpoints/step-000000011.h5";
  std::string bytes = read_file(newest);
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 4);
  write_file(newest, bytes);
  expect_same_run(folder.path(), train_tiny(folder.path(), overrides), unbroken.path(), wanted);
  EXPECT_TRUE(fs::exists(newest.string() + ".corrupt"));
  EXPECT_THAT(read_file(folder.path() / "log.txt"), AllOf(HasSubstr("step-000000011.h5"), HasSubstr("damaged")));
}

TEST(Resume, StartsOverWhereNoCheckpointVerifies) {
  const TemporaryFolder folder;
  train_and_stop(folder.path(), twenty_steps(), 3);
  write_file(folder.path() / "checkpoints/step-000000003.h5", "no checkpoint");
  const Summary ended = train_tiny(folder.path(), twenty_steps());
  EXPECT_EQ(ended.status, "done");
  EXPECT_EQ(metrics_of(folder.path(), "train").size(), 20u);
  EXPECT_THAT(read_file(folder.path() / "log.txt"), HasSubstr("no checkpoint verifies: the run starts over"));
  EXPECT_TRUE(fs::exists(folder.path() / "previous-1/metrics.jsonl"));
}

TEST(Resume, NeverStartsOver) {
  const TemporaryFolder folder;
  train_and_stop(folder.path(), twenty_steps(), 3);
  TrainOptions options{.run = folder.path(), .resume = "never", .quiet = true};
  const Summary ended = train(tiny_recipe(twenty_steps()), options);
  EXPECT_EQ(ended.status, "done");
  EXPECT_TRUE(fs::exists(folder.path() / "previous-1/checkpoints/step-000000003.h5"));
}

TEST(Resume, FromAFileSetsLaterCheckpointsAside) {
  const TemporaryFolder unbroken, folder, other;
  const Overrides overrides = twenty_steps({"checkpoint.keep=10"});
  const Summary wanted = train_tiny(unbroken.path(), overrides);
  train_and_stop(folder.path(), overrides, 14);
  const fs::path file = folder.path() / "checkpoints/step-000000006.h5";
  // In a folder of its own, the run begins at the file's step.
  TrainOptions elsewhere{.run = other.path(), .resume = file.string(), .quiet = true};
  EXPECT_EQ(train(tiny_recipe(overrides), elsewhere).weights_sha256, wanted.weights_sha256);
  EXPECT_EQ(metrics_of(other.path(), "train").front().at("step"), 7);
  // In the same folder, it goes back to it.
  TrainOptions here{.run = folder.path(), .resume = file.string(), .quiet = true};
  expect_same_run(folder.path(), train(tiny_recipe(overrides), here), unbroken.path(), wanted);
  EXPECT_TRUE(fs::exists(folder.path() / "previous-1/checkpoints/step-000000014.h5"));
}

TEST(Resume, MoreStepsGoOnFromTheLast) {
  const TemporaryFolder longer, folder;
  const Summary wanted = train_tiny(longer.path(), {"train.epochs=3"});
  train_tiny(folder.path(), {"train.epochs=2"});
  const Summary ended = train_tiny(folder.path(), {"train.epochs=3"});
  EXPECT_EQ(ended.status, "done");
  EXPECT_EQ(ended.steps, 18);
  EXPECT_EQ(ended.weights_sha256, wanted.weights_sha256) << "the learning rate is constant";
  EXPECT_GT(ended.train_seconds, 0);
  EXPECT_EQ(metrics_of(folder.path(), "train").size(), 18u);
  EXPECT_FALSE(fs::exists(folder.path() / "previous-1"));
  EXPECT_THAT(read_file(folder.path() / "log.txt"), HasSubstr("the run is now 18 steps long"));
  EXPECT_THAT(read_file(folder.path() / "recipe.yaml"), HasSubstr("epochs: 3"));
}

TEST(Resume, TakesShardsAndThreadsThatTheRecipeLeavesOpenFromTheCheckpoint) {
  const TemporaryFolder folder;
  train_and_stop(folder.path(), twenty_steps(), 5);
  const Summary ended = train_tiny(folder.path(), twenty_steps({"train.shards=0", "train.shard_threads=0"}));
  EXPECT_EQ(ended.status, "done");
  EXPECT_EQ(ended.shards, 4);
  EXPECT_EQ(ended.shard_threads, 1);
}

/// The message of a run that is to go on from `file` in a folder of its own.
std::string refused(const fs::path& file, const Overrides& overrides) {
  const TemporaryFolder folder;
  TrainOptions options{.run = folder.path() / "run", .resume = file.string(), .quiet = true};
  const std::string message = message_of<UsageError>([&] { train(tiny_recipe(overrides), options); });
  EXPECT_FALSE(fs::exists(folder.path() / "run")) << "nothing is made";
  EXPECT_THAT(message, AllOf(HasSubstr(file.string()), HasSubstr("--init"), HasSubstr("--run")));
  return message;
}

TEST(Resume, OfAnotherRunIsRefusedWithTheFirstDifferenceByName) {
  const TemporaryFolder folder;
  train_and_stop(folder.path(), twenty_steps(), 3);
  const fs::path file = folder.path() / "checkpoints/step-000000003.h5";
  EXPECT_THAT(refused(file, twenty_steps({"optimizer={name: adam, lr: 0.05}"})), HasSubstr("optimizer.name is sgd"));
  EXPECT_THAT(refused(file, twenty_steps({"train.shards=2"})), HasSubstr("train.shards is 4 there and 2 here"));
  EXPECT_THAT(refused(file, twenty_steps({"model.layers.0.conv.channels=8"})), HasSubstr("model.layers"));
  EXPECT_THAT(refused(file, twenty_steps({"data.train_size=210"})), HasSubstr("data.train_size"));
}

TEST(Init, StartsANewRunFromWeightsAlone) {
  const TemporaryFolder first, folder;
  const Summary trained = train_tiny(first.path());
  TrainOptions options{.run = folder.path(), .quiet = true};
  options.init = first.path() / "checkpoints/step-000000012.h5";
  // A learning rate of nothing: after a step, parameters are what they were; statistics have moved on.
  const Summary ended =
      train(tiny_recipe({"optimizer={name: sgd, lr: 1e-30}", "train.epochs=0", "train.max_steps=1", "ema.decay=0.5"}),
            options);
  EXPECT_EQ(ended.steps, 1);
  EXPECT_NE(ended.weights_sha256, trained.weights_sha256);
  const CheckpointContents before = read_checkpoint(options.init);
  const CheckpointContents after = read_checkpoint(folder.path() / "checkpoints/step-000000001.h5");
  std::size_t compared = 0;
  for (const CheckpointTensor& old : before.tensors) {
    for (const CheckpointTensor& now : after.tensors) {
      if (old.group != "parameters" || now.name != old.name) continue;
      if (now.group != "parameters" && now.group != "average") continue;
      EXPECT_EQ(now.values, old.values) << now.group << " " << now.name;
      ++compared;
    }
  }
  EXPECT_EQ(compared, 2u * 6u) << "conv, batch norm and linear, two each, and their averages";
}

TEST(Init, ListsWhatOnlyOneSideHasAndResetsWhatItIsToldTo) {
  const TemporaryFolder first, folder;
  train_tiny(first.path(), {"train.epochs=0", "train.max_steps=1"});
  TrainOptions options{.run = folder.path() / "run", .quiet = true};
  options.init = first.path() / "checkpoints/step-000000001.h5";
  const std::string other =
      "model={input: [1, 16, 16], layers: [conv: {channels: 4, kernel: 3, padding: 1}, relu, "
      "max_pool: {kernel: 2}, conv: {channels: 4, kernel: 3}, relu, flatten, linear: 10]}";
  EXPECT_THAT(message_of<UsageError>([&] {
                train(tiny_recipe({other, "train.max_steps=1"}), options);
              }),
              AllOf(HasSubstr("[10, 64] in the file"), HasSubstr("model.reset")));
  EXPECT_FALSE(fs::exists(options.run)) << "nothing is made";
  train(tiny_recipe({other, "train.max_steps=1", "model.reset=[\"linear*\"]"}), options);
  EXPECT_THAT(
      read_file(options.run / "log.txt"),
      AllOf(HasSubstr("not in the file, so they start anew: conv2.weight"), HasSubstr("only in the file, left out: "),
            HasSubstr("reset: [\"linear*\"]"), HasSubstr("batch_norm1.weight")));
}

TEST(Init, ResetWithoutAFileIsRefused) {
  const TemporaryFolder folder;
  EXPECT_THAT(message_of<UsageError>([&] { train_tiny(folder.path() / "run", {"model.reset=[\"*\"]"}); }),
              HasSubstr("give --init FILE"));
  EXPECT_FALSE(fs::exists(folder.path() / "run"));
}

}  // namespace
}  // namespace athanor
