// Shards that meet in the middle of a pass: with synchronised batch norms, S shards compute what one shard of the whole
// batch does, with the same bits on any number of lanes.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "backend/cpu/executable.h"
#include "graph/layer.h"
#include "support/training_rig.h"

namespace athanor::testing {
namespace {

/// Norms with ReLU, with a residual, and alone; and one whose statistics stay those of the shard where asked for.
ModelSpec meeting_network(bool is_synchronized) {
  ModelSpec model;
  model.build = [is_synchronized](Builder& builder, ValueId x) {
    const Attributes padded{{"channels", std::int64_t{16}}, {"padding", std::vector<std::int64_t>{1}}};
    const Attributes norm{{"synchronized", is_synchronized}};
    x = build_layer(builder, x, "conv", padded, "conv1");
    x = build_layer(builder, x, "batch_norm", norm, "bn1");
    x = build_layer(builder, x, "relu", {}, "relu1");
    x = build_layer(builder, x, "max_pool", {{"kernel", std::vector<std::int64_t>{2}}}, "pool1");
    ValueId y = build_layer(builder, x, "conv", padded, "conv2");
    y = build_layer(builder, y, "batch_norm", norm, "bn2");
    x = builder.add1("relu", {builder.add1("add", {y, x})});
    x = build_layer(builder, x, "batch_norm", norm, "bn3");
    x = build_layer(builder, x, "global_avg_pool", {}, "pool2");
    return build_layer(builder, x, "linear", {{"features", std::int64_t{10}}}, "fc");
  };
  return model;
}

TrainingRig::Options rig_options(int shards, int lanes, bool is_synchronized = true) {
  return {.model = meeting_network(is_synchronized),
          .optimizer = make_optimizer("sgd", {{"lr", 0.5}}),
          .batch = 30,
          .shards = shards,
          .lanes = lanes};
}

struct Change {
  std::string name;
  std::vector<double> values;
};

/// What one step does to each tensor.
std::vector<Change> changes_of_a_step(const TrainingRig::Options& options) {
  TrainingRig rig(options);
  std::vector<Change> changes;
  const std::vector<StateEntry> entries = rig.executable().list_state();
  for (const StateEntry& entry : entries) {
    const std::vector<float> values = rig.read(entry);
    changes.push_back({entry.name, {values.begin(), values.end()}});
  }
  EXPECT_TRUE(rig.train(1).finite);
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const std::vector<float> values = rig.read(entries[i]);
    for (std::size_t e = 0; e < values.size(); ++e) changes[i].values[e] = values[e] - changes[i].values[e];
  }
  return changes;
}

/// The largest difference of two changes, as a part of the largest element of the tensor's. Gradients that are 0 but
/// for rounding (biases in front of a norm) are left out.
double largest_difference(const std::vector<Change>& found, const std::vector<Change>& want) {
  double worst = 0;
  for (std::size_t i = 0; i < want.size(); ++i) {
    double largest = 0, off = 0;
    for (std::size_t e = 0; e < want[i].values.size(); ++e) {
      largest = std::max(largest, std::abs(want[i].values[e]));
      off = std::max(off, std::abs(found[i].values[e] - want[i].values[e]));
    }
    const bool is_rounding = want[i].name == "conv1.bias" || want[i].name == "conv2.bias";
    if (!is_rounding) worst = std::max(worst, off / largest);
  }
  return worst;
}

/// A gradient sums 30 · 784 terms that largely cancel, in float32 and another order: 8 · 2^-24 · sqrt(n) of the terms,
/// 7e-5; the change of a weight of size 1 is stored with 2^-24 of that weight.
TEST(LockStep, ShardsTogetherComputeWhatOneShardOfTheWholeBatchDoes) {
  const std::vector<Change> whole = changes_of_a_step(rig_options(1, 1));
  for (const int shards : {2, 3, 5, 6}) {
    EXPECT_LT(largest_difference(changes_of_a_step(rig_options(shards, 1)), whole), 1e-4) << shards;
  }
  EXPECT_GT(largest_difference(changes_of_a_step(rig_options(3, 1, false)), whole), 1e-2)
      << "without synchronisation shards differ, else this test sees nothing";
}

TEST(LockStep, GivesTheSameBitsOnAnyNumberOfLanes) {
  const auto state_after_three_steps = [](int shards, int lanes) {
    TrainingRig rig(rig_options(shards, lanes));
    for (int step = 1; step <= 3; ++step) rig.train(step);
    return rig.state();
  };
  for (const int shards : {2, 5, 6}) {
    const std::vector<float> one = state_after_three_steps(shards, 1);
    for (int lanes = 2; lanes <= std::min(shards, 4); ++lanes) {
      const std::vector<float> state = state_after_three_steps(shards, lanes);
      ASSERT_EQ(state.size(), one.size());
      EXPECT_EQ(std::memcmp(state.data(), one.data(), one.size() * sizeof(float)), 0) << shards << " on " << lanes;
    }
  }
}

TEST(LockStep, NamesTheLayerWhoseOutputIsNotFinite) {
  TrainingRig rig(rig_options(5, 2));
  for (const StateEntry& entry : rig.executable().list_state()) {
    if (entry.name != "conv2.weight") continue;
    std::vector<float> values = rig.read(entry);
    values.back() = std::numeric_limits<float>::infinity();
    rig.executable().write_state(entry, values);
  }
  const Batch& batch = rig.load(1);
  EXPECT_FALSE(rig.step(1).finite);
  const auto found = rig.executable().find_non_finite(batch);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->layer, "conv2");
  EXPECT_EQ(found->shard, 0);
}

TEST(LockStep, FindsNothingWhereAllIsFinite) {
  TrainingRig rig(rig_options(5, 2));
  EXPECT_FALSE(rig.executable().find_non_finite(rig.load(1)));
}

TEST(LockStep, ProfilesEveryNode) {
  TrainingRig rig(rig_options(5, 2));
  const std::vector<NodeTime> times = rig.executable().profile(rig.load(1), 2);
  EXPECT_EQ(std::count_if(times.begin(), times.end(), [](const NodeTime& t) { return t.op == "gather_shards"; }), 6);
  for (const NodeTime& time : times) EXPECT_GT(time.seconds, 0) << time.layer << " " << time.op;
}

TEST(LockStep, EveryShardOfTheRankHasAnArena) {
  const TrainingRig together(rig_options(6, 2)), apart(rig_options(6, 2, false));
  EXPECT_GE(together.executable().memory().activations, 6 * together.plan().lane_bytes);
  EXPECT_LT(together.executable().memory().activations, 6 * together.plan().lane_bytes + 100'000);
  EXPECT_EQ(apart.executable().memory().activations, 2 * apart.plan().lane_bytes);
}

}  // namespace
}  // namespace athanor::testing
