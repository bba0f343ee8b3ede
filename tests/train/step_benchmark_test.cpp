#include "train/step_benchmark.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "backend/reference_implementation.h"
#include "base/error.h"

namespace athanor {
namespace {

constexpr const char* kTiny = R"(name: tiny
data: {name: glyphs, train_size: 64, test_size: 16}
model: {name: cifar_resnet, depth: 8, width: 16, classes: 10}
loss: {name: cross_entropy}
train: {epochs: 1, batch: 8, shards: 2, seed: 0}
optimizer: {name: sgd, lr: 0.1}
schedule: {name: constant}
eval: {every_epochs: 1, batch: 16}
)";

const StepBenchmark& tiny_benchmark() {
  static const StepBenchmark result = run_step_benchmark(parse_recipe(kTiny, "tiny.yaml"), {.seconds = 0.3});
  return result;
}

TEST(StepBenchmark, JsonHasWhatTheTextSays) {
  const std::string text = to_json(tiny_benchmark());
  EXPECT_EQ(text.find('\n'), std::string::npos);
  const auto json = nlohmann::json::parse(text);
  for (const char* key : {"recipe", "batch", "lanes", "shard_threads", "threads", "steps", "images_per_s", "step_ms",
                          "gflop_per_s", "ceiling_ms", "ceiling_share", "memory_plan_bytes", "peak_bytes",
                          "load_before", "load_after", "start_ms", "page_faults_per_step", "pass"}) {
    EXPECT_TRUE(json.contains(key)) << key;
  }
  EXPECT_EQ(json["batch"], 8);
  EXPECT_GT(json["steps"], 0);
  EXPECT_LE(json["step_ms"]["p10"], json["step_ms"]["median"]);
  EXPECT_LE(json["step_ms"]["median"], json["step_ms"]["p90"]);
  EXPECT_NEAR(json["images_per_s"]["median"].get<double>() * json["step_ms"]["median"].get<double>(), 8e3, 1e-6);
}

TEST(StepBenchmark, EvaluationRunsForwardAloneOnItsOwnBatch) {
  const StepBenchmark result =
      run_step_benchmark(parse_recipe(kTiny, "tiny.yaml"), {.seconds = 0.2, .evaluation = true});
  EXPECT_EQ(result.batch, 16);
  EXPECT_GT(result.steps, 0);
  EXPECT_GT(result.ceiling_share, 0);
  // Per image a training step has forward and two gradients of each product; the first convolution has but one.
  const double training = tiny_benchmark().products_flops_per_step / 8,
               evaluation = result.products_flops_per_step / 16;
  EXPECT_GT(training / evaluation, 2.5);
  EXPECT_LT(training / evaluation, 3);
  for (const OpShare& op : result.ops) EXPECT_EQ(op.op.find("backward"), std::string::npos) << op.op;
  EXPECT_EQ(nlohmann::json::parse(to_json(result))["pass"], "evaluation");
}

TEST(StepBenchmark, StepsAloneHaveNoCeilingAndNoProfile) {
  const StepBenchmark result =
      run_step_benchmark(parse_recipe(kTiny, "tiny.yaml"), {.seconds = 0.1, .steps_only = true});
  EXPECT_GT(result.steps, 0);
  EXPECT_TRUE(result.ops.empty());
  EXPECT_TRUE(nlohmann::json::parse(to_json(result))["ceiling_share"].is_null());
}

TEST(StepBenchmark, LabelsAreOfAsManyClassesAsTheModelGives) {
  const std::vector<std::string> overrides = {"model.classes=1000"};
  const Recipe recipe = parse_recipe(kTiny, "tiny.yaml", overrides);
  EXPECT_GT(run_step_benchmark(recipe, {.seconds = 0.1}).steps, 0);
}

TEST(StepBenchmark, KnowsHowLongTheProcessHasBeenRunning) {
  EXPECT_GT(tiny_benchmark().start_s, 0);
  EXPECT_GE(tiny_benchmark().page_faults_per_step, 0);
}

TEST(StepBenchmark, SharesOfTheOpsAddUpToOne) {
  double sum = 0;
  std::set<std::string> names;
  for (const OpShare& op : tiny_benchmark().ops) {
    EXPECT_GE(op.share, 0) << op.op;
    EXPECT_TRUE(names.insert(op.op).second) << op.op << " stands there twice";
    sum += op.share;
  }
  EXPECT_NEAR(sum, 1, 1e-9);
  EXPECT_TRUE(names.contains("conv2d"));
  EXPECT_EQ(tiny_benchmark().ops.back().op, "other");
}

TEST(StepBenchmark, CeilingHoldsEveryProductOfTheStep) {
  const StepBenchmark& result = tiny_benchmark();
  int nodes = 0, planned = 0;
  double flops = 0;
  for (const CeilingProduct& product : result.products) {
    nodes += product.nodes;
    flops += product.flops * product.nodes * static_cast<double>(result.shards);
    EXPECT_GT(product.seconds, 0) << product.layer;
    EXPECT_GE(product.planned_slowdown, 1) << product.layer;
    EXPECT_FALSE(is_reference_implementation(product.implementation)) << product.layer;
  }
  for (const OpShare& op : result.ops) {
    if (op.op.starts_with("conv2d") || op.op.starts_with("linear")) planned += op.nodes;
  }
  EXPECT_EQ(nodes, planned);
  EXPECT_NEAR(flops / result.products_flops_per_step, 1, 1e-12);
  EXPECT_GT(result.ceiling_share, 0);
}

TEST(StepBenchmark, RefusesMoreThreadsThanThereAre) {
  EXPECT_THROW(run_step_benchmark(parse_recipe(kTiny, "tiny.yaml"), {.seconds = 0.1, .threads = 100000}), UsageError);
}

TEST(StepBenchmark, SpreadIsByNearestRank) {
  const Spread spread = spread_of({5, 1, 4, 2, 3});
  EXPECT_EQ(spread.p10, 1);
  EXPECT_EQ(spread.median, 3);
  EXPECT_EQ(spread.p90, 5);
}

}  // namespace
}  // namespace athanor
