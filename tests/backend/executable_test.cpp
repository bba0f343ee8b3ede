// The executable of the CPU: the same bits however many lanes run the shards, and the name of the layer that went bad.
#include "backend/executable.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <limits>

#include "graph/layer.h"
#include "support/training_rig.h"

namespace athanor::testing {
namespace {

/// Convolutions, norms, a residual, dropout and a linear layer.
ValueId build_network(Builder& builder, ValueId x) {
  const Attributes padded{{"channels", std::int64_t{16}}, {"padding", std::vector<std::int64_t>{1}}};
  x = build_layer(builder, x, "conv", padded, "conv1");
  x = build_layer(builder, x, "relu", {}, "relu1");
  x = build_layer(builder, x, "max_pool", {{"kernel", std::vector<std::int64_t>{2}}}, "pool1");
  ValueId y = build_layer(builder, x, "conv", padded, "conv2");
  y = build_layer(builder, y, "batch_norm", {}, "bn2");
  x = builder.add1("relu", {builder.add1("add", {y, x})});
  x = build_layer(builder, x, "dropout", {{"rate", 0.25}}, "dropout");
  x = build_layer(builder, x, "global_avg_pool", {}, "pool2");
  return build_layer(builder, x, "linear", {{"features", std::int64_t{10}}}, "fc");
}

TrainingRig make_rig(int shards, int lanes) {
  ModelSpec model;
  model.build = build_network;
  OptimizerSpec optimizer = make_optimizer("adam", {{"lr", 1e-3}, {"clip_norm", 1.0}});
  return TrainingRig({.model = model, .optimizer = optimizer, .batch = 12, .shards = shards, .lanes = lanes});
}

struct Outcome {
  std::vector<float> state;
  StepResult last;
};

Outcome train_three_steps(int shards, int lanes) {
  TrainingRig rig = make_rig(shards, lanes);
  Outcome outcome;
  for (int step = 1; step <= 3; ++step) outcome.last = rig.train(step);
  outcome.state = rig.state();
  return outcome;
}

void expect_same_bits(const Outcome& a, const Outcome& b) {
  ASSERT_EQ(a.state.size(), b.state.size());
  EXPECT_EQ(std::memcmp(a.state.data(), b.state.data(), a.state.size() * sizeof(float)), 0);
  EXPECT_EQ(a.last.loss, b.last.loss);
  EXPECT_EQ(a.last.grad_norm, b.last.grad_norm);
  EXPECT_EQ(a.last.correct, b.last.correct);
}

TEST(Executable, GivesTheSameBitsOnAnyNumberOfLanes) {
  const Outcome one = train_three_steps(4, 1);
  EXPECT_TRUE(one.last.finite);
  EXPECT_GT(one.last.grad_norm, 0);
  for (const int lanes : {2, 3, 4}) {
    SCOPED_TRACE(lanes);
    expect_same_bits(train_three_steps(4, lanes), one);
  }
}

TEST(Executable, GivesTheSameBitsWhenShardsAreNoPowerOfTwo) {
  const Outcome one = train_three_steps(6, 1);
  for (const int lanes : {2, 3}) {
    SCOPED_TRACE(lanes);
    expect_same_bits(train_three_steps(6, lanes), one);
  }
}

StateEntry entry_named(Executable& executable, const std::string& name) {
  const std::vector<StateEntry> entries = executable.list_state();
  const auto found = std::find_if(entries.begin(), entries.end(), [&](const StateEntry& e) { return e.name == name; });
  return found == entries.end() ? StateEntry{} : *found;
}

/// How often a rank shows that it gets on in its first step.
std::uint64_t progress_in_a_step(const ModelSpec& model) {
  const std::unique_ptr<Communicator> alone = make_self_communicator();
  TrainingRig rig({.model = model,
                   .optimizer = make_optimizer("sgd", {{"lr", 0.1}}),
                   .batch = 12,
                   .shards = 6,
                   .lanes = 2,
                   .communicator = alone.get()});
  rig.load(1);
  const std::uint64_t before = alone->activity().snapshot().progress;
  rig.step(1);
  return alone->activity().snapshot().progress - before;
}

TEST(Executable, AStepGetsOnWithEveryShard) {
  ModelSpec model;
  model.build = build_network;
  EXPECT_GE(progress_in_a_step(model), 6U);
  model.build = [](Builder& builder, ValueId x) {
    x = build_layer(builder, x, "conv", {{"channels", std::int64_t{16}}}, "conv");
    x = build_layer(builder, x, "batch_norm", {{"synchronized", true}}, "bn");
    x = build_layer(builder, x, "global_avg_pool", {}, "pool");
    return build_layer(builder, x, "linear", {{"features", std::int64_t{10}}}, "fc");
  };
  EXPECT_GE(progress_in_a_step(model), 12U) << "each shard, before the meeting and behind it";
}

TEST(Executable, WritesAndReadsStateInLogicalOrder) {
  TrainingRig rig = make_rig(2, 1);
  for (const StateEntry& entry : rig.executable().list_state()) {
    std::vector<float> values = rig.read(entry);
    for (std::size_t e = 0; e < values.size(); ++e) values[e] = static_cast<float>(e) + 0.5f;
    rig.executable().write_state(entry, values);
    EXPECT_EQ(rig.read(entry), values) << entry.name;
  }
}

void expect_named(const std::string& weight, const std::string& layer, float bad) {
  TrainingRig rig = make_rig(4, 2);
  const StateEntry entry = entry_named(rig.executable(), weight);
  std::vector<float> values = rig.read(entry);
  ASSERT_FALSE(values.empty());
  values.back() = bad;
  rig.executable().write_state(entry, values);
  const Batch& batch = rig.load(1);
  EXPECT_FALSE(rig.step(1).finite);
  EXPECT_EQ(rig.read(entry), values) << "a step that is not finite updates nothing";
  const auto found = rig.executable().find_non_finite(batch);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->layer, layer);
  EXPECT_EQ(found->shard, 0);
}

TEST(Executable, NamesTheLayerWhoseOutputIsNotFinite) {
  expect_named("conv2.weight", "conv2", std::numeric_limits<float>::infinity());
  expect_named("fc.bias", "fc", std::numeric_limits<float>::infinity());
  expect_named("bn2.weight", "bn2", std::numeric_limits<float>::infinity());
}

TEST(Executable, FindsNothingWhereAllIsFinite) {
  TrainingRig rig = make_rig(4, 2);
  EXPECT_FALSE(rig.executable().find_non_finite(rig.load(1)));
}

}  // namespace
}  // namespace athanor::testing
