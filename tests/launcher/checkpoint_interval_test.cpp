#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "launcher/sample_status.h"
#include "launcher/supervisor/goodput.h"
#include "launcher/supervisor/young_daly.h"

namespace athanor {
namespace {

using ::testing::HasSubstr;

IntervalFigures sample_figures() {
  return {.stall_s = 0.012,
          .write_s = 0.5,
          .step_s = 0.01,
          .uptime_s = 6000,
          .faults = 10,
          .hosts = 4,
          .every_steps = 1875};
}

TEST(CheckpointInterval, IsYoungsWhereSavesAreShort) {
  EXPECT_NEAR(best_interval_s(0.012, 600), std::sqrt(2 * 0.012 * 600), 0.01);
  EXPECT_NEAR(best_interval_s(1, 86400), std::sqrt(2 * 86400.0), 1);
}

TEST(CheckpointInterval, IsTheFaultsTimeWhereSavesTakeLonger) {
  EXPECT_EQ(best_interval_s(1300, 600), 600);
}

TEST(CheckpointInterval, LosesNoMoreThanItsNeighbours) {
  // The exact share of time that lasts, of which Daly's interval is an estimate.
  for (const double stall_s : {0.01, 0.1, 1.0, 10.0}) {
    GoodputModel model{.stall_s = stall_s};
    const auto share_at = [&](double interval_s) {
      model.interval_s = interval_s;
      return expected_goodput(model);
    };
    const double daly_s = best_interval_s(stall_s, model.fault_every_s);
    EXPECT_GT(share_at(daly_s), share_at(1.2 * daly_s)) << stall_s;
    EXPECT_GT(share_at(daly_s), share_at(daly_s / 1.2)) << stall_s;
    EXPECT_NEAR(share_at(daly_s), share_at(best_goodput_interval_s(model)), 1e-5) << stall_s;
  }
}

TEST(CheckpointInterval, IsAdvisedInStepsWithWhatWasMeasured) {
  const std::string advice = interval_advice(sample_figures());
  EXPECT_THAT(advice, HasSubstr("checkpoint.every_steps=379 (every 3.8 s) would lose least"));
  EXPECT_THAT(advice, HasSubstr("a save holds up training for 12 ms, a fault comes every 10 min 00 s"));
  EXPECT_THAT(advice, HasSubstr("now every 1,875 steps, which loses 1.7 %"));
}

TEST(CheckpointInterval, StatesItsGuessUntilFaultsWereSeen) {
  IntervalFigures figures = sample_figures();
  figures.faults = 0;
  EXPECT_DOUBLE_EQ(fault_every_s(figures), kDaysBetweenFaultsOfAHost * 86400 / 4);
  figures.every_steps = 0;
  EXPECT_THAT(interval_advice(figures),
              ::testing::AllOf(HasSubstr("a fault is taken to come every 7 days"), HasSubstr("until 2 were seen"),
                               HasSubstr("now only at the end")));
}

TEST(CheckpointInterval, TakesOneFaultToComeOnceInTheTimeSinceTheStart) {
  IntervalFigures figures = sample_figures();
  figures.faults = 1;
  EXPECT_DOUBLE_EQ(fault_every_s(figures), 6000);
  EXPECT_THAT(interval_advice(figures), HasSubstr("a fault is taken to come every 1 h 40 min, until 2 were seen"));
  figures.uptime_s = 1e9;
  EXPECT_DOUBLE_EQ(fault_every_s(figures), kDaysBetweenFaultsOfAHost * 86400 / 4);
}

/// 600 steps of 2.3 ms, of which faults once a month advise to save every 141,132.
IntervalFigures short_run() {
  return {.stall_s = 0.02, .write_s = 0.1, .step_s = 0.0023, .uptime_s = 30, .every_steps = 60, .total_steps = 600};
}

TEST(CheckpointInterval, IsFineAsItIsWhereTheBestOneIsLongerThanTheRun) {
  EXPECT_THAT(
      interval_advice(short_run()),
      ::testing::AllOf(HasSubstr("a checkpoint every 60 steps is fine for this run, and saving less often gains "
                                 "nothing worth having: the interval that loses least, 5 min"),
                       ::testing::Not(HasSubstr("checkpoint.every_steps="))));
  IntervalFigures figures = short_run();
  figures.every_steps = 0;
  EXPECT_THAT(interval_advice(figures), HasSubstr("a checkpoint only at the end is fine for this run"));
}

TEST(CheckpointInterval, IsNeverLongerThanTheRun) {
  IntervalFigures figures = short_run();
  figures.stall_s = 5;
  figures.step_s = 1;
  figures.every_steps = 10;
  figures.total_steps = 3600;  // half an hour goes into saves
  EXPECT_THAT(interval_advice(figures), HasSubstr("checkpoint.every_steps=3600 (every 1 h 00 min) would lose least"));
}

TEST(CheckpointInterval, IsLeftAloneWhereAnotherGainsNothing) {
  IntervalFigures figures = sample_figures();
  figures.every_steps = 400;
  EXPECT_THAT(interval_advice(figures), HasSubstr("a checkpoint every 400 steps (4.0 s) is as good as any"));
}

TEST(CheckpointInterval, IsNotShorterThanASaveTakes) {
  IntervalFigures figures = sample_figures();
  figures.write_s = 20;
  EXPECT_THAT(interval_advice(figures), HasSubstr("as good as any"));  // 18.75 s: every save already waits for the last
  figures.every_steps = 0;
  EXPECT_THAT(interval_advice(figures), HasSubstr("checkpoint.every_steps=2000 "));
}

TEST(CheckpointInterval, IsNotAdvisedBeforeAnythingWasMeasured) {
  EXPECT_EQ(interval_advice(IntervalFigures{}), "");
  EXPECT_EQ(interval_advice(JobStatus{}), "");
  JobStatus status = launcher_test::sample_status();
  EXPECT_NE(interval_advice(status), "");
  status.picture.news.checkpoint_stall_s = 0;
  EXPECT_EQ(interval_advice(status), "");
}

TEST(CheckpointInterval, CountsOnlyFaultsThatEndedAnAttempt) {
  JobStatus status = launcher_test::sample_status();
  EXPECT_THAT(interval_advice(status), HasSubstr("a fault comes every 10 min 00 s"));
  status.faults.push_back({"2026-11-27T03:20:00Z", 3, 950, "silent", {"node1"}, "rank 0 was silent", 0});
  EXPECT_THAT(interval_advice(status), HasSubstr("a fault comes every 10 min 00 s"));
}

/// Means over many days, whose standard error is known.
TEST(Goodput, SimulationAgreesWithTheClosedForm) {
  const GoodputModel cases[] = {
      {},
      {.detect_s = 10, .restart_s = 15, .stall_s = 0.5, .interval_s = 30},
      {.detect_s = 3, .restart_s = 5, .stall_s = 2, .write_s = 40, .interval_s = 60},
      {.fault_every_s = 60, .detect_s = 10, .restart_s = 30, .stall_s = 1, .write_s = 5, .interval_s = 20}};
  for (GoodputModel model : cases) {
    double sum = 0, squares = 0;
    constexpr int kDays = 400;
    for (model.seed = 0; model.seed < kDays; ++model.seed) {
      const double share = simulate_goodput(model).share;
      sum += share;
      squares += share * share;
    }
    const double mean = sum / kDays;
    const double error = std::sqrt((squares / kDays - mean * mean) / kDays);
    // The day begins with a life and ends in one: a share of at most one life of 144 or more.
    const double edge = 2 * (model.detect_s + model.restart_s + model.interval_s) / 86400;
    EXPECT_NEAR(mean, expected_goodput(model), 4 * error + edge) << model.interval_s;
    EXPECT_LT(4 * error + edge, 0.01);
  }
}

TEST(Goodput, AccountsForAllOfTheDay) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const GoodputModel model{
        .detect_s = 4, .restart_s = 6, .stall_s = 0.5, .write_s = 2, .interval_s = 30, .seed = seed};
    const Goodput day = simulate_goodput(model);
    EXPECT_NEAR(day.share * 86400 + day.redone_s + day.saving_s + day.restarting_s, 86400, 1e-6);
    EXPECT_GT(day.faults, 80);
    EXPECT_LT(day.faults, 220);
  }
}

TEST(Goodput, IsAllOfADayWithoutFaultsAndSaves) {
  const Goodput day = simulate_goodput({.fault_every_s = 1e12, .stall_s = 1e-9, .interval_s = 60});
  EXPECT_NEAR(day.share, 1, 1e-6);
  EXPECT_EQ(day.faults, 0);
  EXPECT_EQ(day.saves, 1439);  // the last one would end with the day
}

}  // namespace
}  // namespace athanor
