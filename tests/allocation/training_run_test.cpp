// What stands round the step in a run, the hand-over of the batch, the schedule, the metrics and the progress line,
// allocates nothing for a step either: a run of twice the steps allocates as much.
#include "train/training_run.h"

#include <gtest/gtest.h>

#include <cstdio>

#include "allocation/counter.h"
#include "train/tiny_session.h"

namespace athanor {
namespace {

using testing::TinySession;

/// Moves on by a second with each look, so that the progress line is due at every step.
Progress::Clock::time_point hasty_clock() {
  static std::int64_t looks = 0;
  return Progress::Clock::time_point(std::chrono::seconds(++looks));
}

/// Allocations of ours in a run of that many steps of one epoch of 40, the evaluation at the end included.
long allocations_of_run(int steps, bool terminal) {
  TinySession session({"data.train_size=1280", "train.epochs=1", "train.max_steps=" + std::to_string(steps)});
  const testing::TemporaryFolder folder;
  std::FILE* const shown = std::fopen((folder / "shown").c_str(), "w");
  Progress progress(terminal, shown, session.sizing.total_steps, session.sizing.steps_per_epoch, 1);
  progress.set_clock(&hasty_clock);
  Summary summary;
  const StopSignals stop;
  StoppingBound bound(*session.communicator, stop);
  TrainingRun run({session.recipe, session.sizing, session.data, session.plans.optimizer, *session.executable,
                   *session.communicator, bound, progress, summary},
                  {.metrics = folder / "metrics.jsonl"});
  const long ours = testing::allocations_during([&] { run.run(stop); }).ours;
  EXPECT_EQ(summary.steps, steps);
  EXPECT_GT(ours, 0) << "the evaluation at the end allocates";
  progress.finish();
  std::fclose(shown);
  return ours;
}

TEST(TrainingRun, AllocatesNothingForAStep) {
  if (!testing::can_count_allocations()) GTEST_SKIP() << "the sanitizer brings an allocator of its own";
  EXPECT_EQ(allocations_of_run(16, false), allocations_of_run(32, false));
}

TEST(TrainingRun, AllocatesNothingForAProgressBar) {
  if (!testing::can_count_allocations()) GTEST_SKIP() << "the sanitizer brings an allocator of its own";
  EXPECT_EQ(allocations_of_run(16, true), allocations_of_run(32, true));
}

}  // namespace
}  // namespace athanor
