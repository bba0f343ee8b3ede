#include "optim/optimizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "config/registry.h"
#include "optim/clipping.h"

namespace athanor {
namespace {

TEST(Optimizer, DefaultsAreTorchs) {
  EXPECT_EQ(make_optimizer("sgd", {}).lr, 1e-3);
  EXPECT_EQ(make_optimizer("adagrad", {}).lr, 1e-2);
  EXPECT_EQ(make_optimizer("adagrad", {}).eps, 1e-10);
  EXPECT_EQ(make_optimizer("rmsprop", {}).alpha, 0.99);
  EXPECT_EQ(make_optimizer("adam", {}).beta2, 0.999);
  EXPECT_FALSE(make_optimizer("adam", {}).decoupled);
  EXPECT_TRUE(make_optimizer("adamw", {}).decoupled);
  EXPECT_EQ(make_optimizer("adamw", {}).weight_decay, 1e-2);
}

TEST(Optimizer, EverySchemaMakesAnOptimizer) {
  EXPECT_EQ(schemas_of("optimizer").size(), 5u);
  for (const Schema* schema : schemas_of("optimizer")) {
    const OptimizerSpec spec = make_optimizer(schema->name, {});
    EXPECT_EQ(static_cast<int>(spec.slots.size()), kernels::slot_count(spec.rule)) << schema->name;
  }
}

TEST(Optimizer, UnknownNameListsTheKnownOnes) {
  EXPECT_THAT([] { make_optimizer("sgdd", {}); },
              testing::ThrowsMessage<UsageError>(testing::HasSubstr("adagrad, adam, adamw, rmsprop, sgd")));
}

TEST(Optimizer, NesterovNeedsMomentumWithoutDampening) {
  EXPECT_THROW(make_optimizer("sgd", {{"nesterov", true}}), UsageError);
  EXPECT_THROW(make_optimizer("sgd", {{"nesterov", true}, {"momentum", 0.9}, {"dampening", 0.1}}), UsageError);
}

TEST(Optimizer, SchedulesMayCycleMomentumOrBeta1) {
  EXPECT_EQ(cycled_momentum(make_optimizer("sgd", {})), std::nullopt);
  EXPECT_EQ(cycled_momentum(make_optimizer("sgd", {{"momentum", 0.8}})), 0.8);
  EXPECT_EQ(cycled_momentum(make_optimizer("adamw", {})), 0.9);
  EXPECT_EQ(cycled_momentum(make_optimizer("adagrad", {})), std::nullopt);
}

TEST(Optimizer, BiasCorrectionsKeepTheirDigitsInLongRuns) {
  const OptimizerSpec spec = make_optimizer("adam", {});
  const kernels::StepScalars late = step_scalars(spec, {.step = 100'000'000, .lr = 1e-3, .momentum = {}});
  EXPECT_EQ(late.lr_correction, 1.0f);
  EXPECT_EQ(late.root_scale, 1.0f);
  const kernels::StepScalars first = step_scalars(spec, {.step = 1, .lr = 1e-3, .momentum = {}});
  EXPECT_FLOAT_EQ(first.lr_correction, 10.0f);
}

TEST(Ema, DecayWarmsUp) {
  EXPECT_EQ(ema_decay({.decay = 0.999, .warmup = false}, 0), 0.999);
  EXPECT_EQ(ema_decay({.decay = 0.999, .warmup = true}, 0), 0.1);
  EXPECT_EQ(ema_decay({.decay = 0.999, .warmup = true}, 90), 0.91);
  EXPECT_EQ(ema_decay({.decay = 0.999, .warmup = true}, 1'000'000), 0.999);
}

TEST(Clipping, ScalesOnlyLongGradients) {
  EXPECT_EQ(clip_factor(3.0, 0.0), 1.0);
  EXPECT_EQ(clip_factor(0.5, 1.0), 1.0);
  EXPECT_NEAR(clip_factor(4.0, 1.0), 0.25, 1e-6);
  EXPECT_TRUE(std::isnan(clip_factor(std::nan(""), 1.0)));
}

}  // namespace
}  // namespace athanor
