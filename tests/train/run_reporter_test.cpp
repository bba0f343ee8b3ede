#include "train/run_reporter.h"

#include <gtest/gtest.h>

#include "train/tiny_session.h"

namespace athanor {
namespace {

TEST(RunReporter, SaysWhatTheRunIs) {
  testing::TinySession session({"checkpoint.every_epochs=2", "watchdog.timeout_s=8"});
  const watch::RunAbout about = about_run(session.recipe, session.sizing, "some/run");
  EXPECT_EQ(about.name, session.recipe.name);
  EXPECT_TRUE(std::filesystem::path(about.run_folder).is_absolute());
  EXPECT_EQ(about.total_steps, session.sizing.total_steps);
  EXPECT_EQ(about.batch, session.recipe.train.batch);
  EXPECT_EQ(about.shards, session.sizing.shards);
  EXPECT_EQ(about.checkpoint_every_steps, 2 * session.sizing.steps_per_epoch);
  EXPECT_EQ(about.watchdog_timeout_s, 8);
}

TEST(RunReporter, TheShorterIntervalOfCheckpointsCounts) {
  testing::TinySession session({"checkpoint.every_epochs=2", "checkpoint.every_steps=1"});
  EXPECT_EQ(about_run(session.recipe, session.sizing, "run").checkpoint_every_steps, 1);
}

TEST(RunReporter, WithNobodyWatchingIsSilent) {
  const std::unique_ptr<Communicator> alone = make_self_communicator();
  RunReporter reporter(*alone);
  reporter.step({.step = 1}, {});
  EXPECT_EQ(alone->heartbeats(), nullptr);
}

StepLine step_of(std::int64_t step, double step_ms) {
  return {.step = step, .images_per_s = 64 / step_ms * 1e3, .step_ms = step_ms};
}

TEST(RunReporter, SaysTheSpeedOfTheLastSecondsAndNotOfOneStep) {
  const std::unique_ptr<Communicator> alone = make_self_communicator();
  RunReporter reporter(*alone);
  reporter.step(step_of(1, 2900), {});
  EXPECT_EQ(reporter.news().images_per_s, 0);  // it read its data
  for (std::int64_t step = 2; step <= 101; ++step) reporter.step(step_of(step, 10), {});
  EXPECT_NEAR(reporter.news().images_per_s, 6400, 1);
  reporter.step(step_of(102, 300), {});
  EXPECT_GT(reporter.news().images_per_s, 5700);  // that step alone: 213
  EXPECT_LT(reporter.news().images_per_s, 6000);
  EXPECT_EQ(reporter.news().step, 102);
}

}  // namespace
}  // namespace athanor
