#include "optim/schedule.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "optim/fixture.h"

namespace athanor {
namespace {

using nlohmann::json;

constexpr double kLr = 0.3;  // of every case in the fixture

Schedule schedule_of(const std::string& name, const json& attributes, std::int64_t spe, std::int64_t total) {
  return make_schedule(name, test::attributes_of("schedule", name, attributes),
                       {.lr = kLr, .momentum = 0.9, .steps_per_epoch = spe, .total_steps = total});
}

/// torch multiplies its way from step to step, we use closed forms: 100 roundings of 2⁻⁵³ stay far below 1e-9. The
/// last point of a cosine is 0 here and about 1e-17 there, hence the absolute part.
void expect_close(double got, double wanted, const std::string& what) {
  EXPECT_NEAR(got, wanted, 1e-9 * std::abs(wanted) + 1e-15) << what;
}

TEST(Schedule, FollowsTorch) {
  const json& cases = test::fixture()["schedules"];
  ASSERT_GE(cases.size(), 23u);
  for (const json& c : cases) {
    const Schedule schedule = schedule_of(c["name"], c["attributes"], c["steps_per_epoch"], c["total_steps"]);
    for (std::size_t i = 0; i < c["lr"].size(); ++i) {
      const std::string what = c["name"].get<std::string>() + c["attributes"].dump() + " step " + std::to_string(i);
      const ScheduleValues values = schedule.at(static_cast<std::int64_t>(i));
      expect_close(values.lr, c["lr"][i], what);
      ASSERT_EQ(values.momentum.has_value(), c.contains("momentum")) << what;
      if (values.momentum) expect_close(*values.momentum, c["momentum"][i], what + ", momentum");
    }
  }
}

TEST(Schedule, PlateauFollowsTorch) {
  for (const json& c : test::fixture()["plateaus"]) {
    const Schedule schedule = schedule_of("reduce_on_plateau", c["attributes"], 10, 1000);
    EXPECT_EQ(schedule.metric(), c["attributes"].value("metric", "loss"));
    PlateauState state = schedule.initial_state();
    EXPECT_EQ(schedule.at(0, state).lr, kLr);
    for (std::size_t i = 0; i < c["metrics"].size(); ++i) {
      state = schedule.observe(state, c["metrics"][i]);
      expect_close(schedule.at(static_cast<std::int64_t>(i), state).lr, c["lr"][i],
                   c["attributes"].dump() + " evaluation " + std::to_string(i));
    }
    EXPECT_LT(state.lr, kLr) << c["attributes"].dump() << ": the case never reduces";
  }
}

TEST(Schedule, EverySchemaMakesASchedule) {
  EXPECT_EQ(schemas_of("schedule").size(), 8u);
  const json needed = {
      {"step", {{"step_size", 2}}}, {"multi_step", {{"milestones", {2}}}}, {"exponential", {{"gamma", 0.9}}}};
  for (const Schema* schema : schemas_of("schedule")) {
    const Schedule schedule = schedule_of(schema->name, needed.value(schema->name, json::object()), 10, 100);
    const ScheduleValues values = schedule.at(50, schedule.initial_state());
    EXPECT_TRUE(values.lr > 0 && values.lr <= kLr) << schema->name;
  }
}

TEST(Schedule, OneCycleLeavesAbsentMomentumAlone) {
  const ScheduleContext context{.lr = kLr, .momentum = {}, .steps_per_epoch = 10, .total_steps = 100};
  EXPECT_EQ(make_schedule("one_cycle", {}, context).at(3).momentum, std::nullopt);
}

TEST(Schedule, StaysFiniteInRunsOfOneStepAndPastTheEnd) {
  for (const bool three_phase : {false, true}) {
    for (const std::int64_t total : {1, 2, 3, 7}) {
      for (const double warmup : {0.0, 0.3, 1.0}) {
        const json attributes = {{"three_phase", three_phase}, {"warmup", warmup}};
        const Schedule schedule = schedule_of("one_cycle", attributes, 1, total);
        for (std::int64_t step = 0; step < total + 3; ++step) {
          const double lr = schedule.at(step).lr;
          EXPECT_TRUE(lr > 0 && lr <= kLr) << attributes.dump() << " of " << total << " at " << step << ": " << lr;
        }
      }
    }
  }
  EXPECT_EQ(schedule_of("polynomial", json::object(), 1, 1).at(5).lr, 0.0);
}

TEST(Schedule, WarmupLongerThanTheRunIsAllowed) {
  const Schedule schedule = schedule_of("cosine", {{"warmup_steps", 50}}, 10, 5);
  EXPECT_NEAR(schedule.at(0).lr, kLr / 3, 1e-15);
  EXPECT_GT(schedule.at(4).lr, schedule.at(3).lr);
}

TEST(Schedule, RefusesSettingsThatExcludeEachOther) {
  EXPECT_THROW(schedule_of("constant", {{"warmup_steps", 5}, {"warmup_epochs", 1.0}}, 1, 9), UsageError);
  EXPECT_THROW(schedule_of("cosine", {{"t_max", 5}, {"t_0", 1}}, 1, 9), UsageError);
  EXPECT_THROW(schedule_of("one_cycle", {{"base_momentum", 0.9}, {"max_momentum", 0.8}}, 1, 9), UsageError);
  EXPECT_THAT(
      [] { schedule_of("step", json::object(), 1, 9); },
      testing::ThrowsMessage<UsageError>(testing::HasSubstr("schedule step: attribute 'step_size' is missing")));
  EXPECT_THAT([] { make_schedule("cosin", {}, {}); },
              testing::ThrowsMessage<UsageError>(testing::HasSubstr("constant, cosine")));
}

}  // namespace
}  // namespace athanor
