// A network trained over the ranks ends with the bits that one rank alone gets, whatever the optimizer does. Each rank
// trains the same network alone as well and compares.
#include <gtest/gtest.h>

#include <cstring>
#include <limits>

#include "distributed/world.h"
#include "graph/layer.h"
#include "kernels/isa.h"
#include "support/training_rig.h"

namespace athanor::distributed_test {
namespace {

using athanor::testing::TrainingRig;

ModelSpec small_resnet() {
  ModelSpec model;
  model.name = "cifar_resnet";
  model.attributes = {{"depth", std::int64_t{8}}, {"width", std::int64_t{4}}};
  return model;
}

OptimizerSpec optimizer(const char* name, const Attributes& attributes) {
  return make_optimizer(name, attributes);
}

OptimizerSpec momentum() {
  return optimizer("sgd", {{"lr", 0.05}, {"momentum", 0.9}, {"weight_decay", 5e-4}});
}

/// Buckets of a few blocks, so that there are many.
TrainingRig::Options options(const OptimizerSpec& spec, int shards = 8) {
  return {.model = small_resnet(),
          .optimizer = spec,
          .batch = 2 * shards,
          .shards = shards,
          .lanes = 1,
          .buckets = {.first = 16'384, .others = 32'768}};
}

struct Trained {
  std::vector<float> state;  ///< parameters, statistics and averages; of a sharded optimizer also what rank 0 collects
  std::size_t shared = 0;    ///< of `state`: parameters and statistics, which come first
  std::vector<StepResult> steps;
};

Trained train(const TrainingRig::Options& wanted, int steps) {
  TrainingRig rig(wanted);
  Trained trained;
  for (int step = 1; step <= steps; ++step) trained.steps.push_back(rig.train(step));
  const bool keeps_copy = wanted.communicator == nullptr || wanted.communicator->rank() == 0;
  const std::unique_ptr<StateSnapshot> snapshot = keeps_copy ? rig.executable().make_snapshot() : nullptr;
  rig.executable().capture(snapshot.get());
  for (const StateEntry& entry : rig.executable().list_state()) {
    std::vector<float> values(static_cast<std::size_t>(entry.shape.elements()));
    if (keeps_copy) {
      snapshot->read(entry, values);
    } else if (entry.kind != StateKind::optimizer || !wanted.optimizer.shard) {
      rig.executable().read_state(entry, values);
    } else {
      continue;
    }
    trained.state.insert(trained.state.end(), values.begin(), values.end());
    if (entry.kind == StateKind::parameter || entry.kind == StateKind::statistic) trained.shared += values.size();
  }
  return trained;
}

void expect_one_ranks_bits(TrainingRig::Options wanted, int steps = 4) {
  const Trained together = [&] {
    TrainingRig::Options distributed = wanted;
    distributed.communicator = &world();
    return train(distributed, steps);
  }();
  TrainingRig::Options alone = wanted;
  alone.lanes = 2;
  alone.optimizer.shard = false;
  const Trained want = train(alone, steps);
  // Of a sharded optimizer's state only the first rank has all; what stands before it in the list all have.
  const bool is_whole = !wanted.optimizer.shard || world().rank() == 0;
  ASSERT_EQ(is_whole ? together.state.size() : together.shared, is_whole ? want.state.size() : want.shared);
  EXPECT_EQ(std::memcmp(together.state.data(), want.state.data(), together.shared * sizeof(float)), 0);
  if (is_whole) {
    EXPECT_EQ(std::memcmp(together.state.data(), want.state.data(), want.state.size() * sizeof(float)), 0);
  }
  for (int step = 0; step < steps; ++step) {
    const StepResult &a = together.steps[static_cast<std::size_t>(step)],
                     &b = want.steps[static_cast<std::size_t>(step)];
    EXPECT_EQ(std::memcmp(&a.loss, &b.loss, sizeof a.loss), 0) << step;
    EXPECT_EQ(std::memcmp(&a.grad_norm, &b.grad_norm, sizeof a.grad_norm), 0) << step;
    EXPECT_EQ(a.correct, b.correct) << step;
  }
}

TEST(Training, SgdWithMomentum) {
  expect_one_ranks_bits(options(momentum()));
}

TEST(Training, SeveralLanesOfEachRank) {
  TrainingRig::Options wanted = options(momentum(), 2 * world().size() + 1);
  wanted.lanes = 3;
  expect_one_ranks_bits(wanted);
  wanted.optimizer.shard = true;
  wanted.optimizer.clip_norm = 0.1;
  expect_one_ranks_bits(wanted);
}

TEST(Training, Adam) {
  expect_one_ranks_bits(options(optimizer("adam", {{"lr", 1e-3}})));
}

TEST(Training, AveragedWeights) {
  OptimizerSpec spec = momentum();
  spec.ema = {.decay = 0.9};
  expect_one_ranks_bits(options(spec));
}

TEST(Training, ClippingByNorm) {
  OptimizerSpec spec = momentum();
  spec.clip_norm = 0.1;
  expect_one_ranks_bits(options(spec));
}

TEST(Training, ShardedOptimizerState) {
  OptimizerSpec spec = momentum();
  spec.shard = true;
  expect_one_ranks_bits(options(spec));
  spec.clip_norm = 0.1;
  spec.ema = {.decay = 0.9};
  expect_one_ranks_bits(options(spec));
  OptimizerSpec adam = optimizer("adam", {{"lr", 1e-3}});
  adam.shard = true;
  expect_one_ranks_bits(options(adam));
}

TEST(Training, ShardsThatRanksDoNotDivide) {
  for (const int shards : {world().size(), world().size() + 1, world().size() + 3}) {
    expect_one_ranks_bits(options(momentum(), shards), 2);
  }
}

/// Every rank needs the statistics of all shards in the middle of its passes.
TEST(Training, SynchronizedBatchNorm) {
  for (const int shards : {8, world().size() + 1, world().size() + 3}) {
    TrainingRig::Options wanted = options(momentum(), shards);
    wanted.model.attributes.set("synchronized_batch_norm", true);
    expect_one_ranks_bits(wanted, 3);
    wanted.optimizer.clip_norm = 0.1;
    wanted.optimizer.shard = true;
    expect_one_ranks_bits(wanted, 2);
  }
}

/// The search goes through the meetings of all ranks, and all name what one of them finds first.
TEST(Training, TheSearchForWhatIsNotFiniteMeetsToo) {
  TrainingRig::Options wanted = options(momentum());
  wanted.model.attributes.set("synchronized_batch_norm", true);
  wanted.communicator = &world();
  TrainingRig rig(wanted);
  const Batch& batch = rig.load(1);
  EXPECT_FALSE(rig.executable().find_non_finite(batch));
  for (const StateEntry& entry : rig.executable().list_state()) {
    if (entry.name != "stage2.block1.conv1.weight" || world().rank() != world().size() - 1) continue;
    std::vector<float> values = rig.read(entry);
    values.front() = std::numeric_limits<float>::infinity();
    rig.executable().write_state(entry, values);
  }
  const auto found = rig.executable().find_non_finite(batch);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->layer, "stage2.block1.conv1");
  EXPECT_EQ(found->shard, shards_of_rank(8, world().size() - 1, world().size()).first);
}

TEST(Training, Dropout) {
  TrainingRig::Options wanted = options(momentum());
  wanted.model = {};
  wanted.model.build = [](Builder& builder, ValueId x) {
    ValueId y = build_layer(builder, x, "conv",
                            {{"channels", std::int64_t{8}}, {"kernel", std::vector<std::int64_t>{3, 3}}}, "conv");
    y = build_layer(builder, y, "relu", {}, "relu");
    y = build_layer(builder, y, "dropout", {{"rate", 0.25}}, "dropout");
    y = build_layer(builder, y, "global_avg_pool", {}, "pool");
    return build_layer(builder, y, "linear", {{"features", std::int64_t{10}}}, "linear");
  };
  expect_one_ranks_bits(wanted);
}

TEST(Training, Bfloat16) {
  if (!kernels::has_native_bf16()) GTEST_SKIP() << "this processor has no native bf16";
  TrainingRig::Options wanted = options(momentum());
  wanted.precision = DType::bf16;
  expect_one_ranks_bits(wanted);
}

/// No promise of bits; every rank has the same ones, near those of the tree.
TEST(Training, TheLibrarysOrderGivesNearlyTheSame) {
  for (const DType wire : {DType::f32, DType::bf16, DType::f16}) {
    TrainingRig::Options wanted = options(momentum());
    const Trained want = train(wanted, 2);
    wanted.communicator = &world();
    wanted.reduction = ReductionMode::library;
    wanted.wire = wire;
    const Trained found = train(wanted, 2);
    // Two steps: the gradients' relative rounding (2^-9 for bfloat16) times the learning rate.
    const double tolerance = wire == DType::f32 ? 1e-5 : 0.05;
    double worst = 0;
    for (std::size_t i = 0; i < want.state.size(); ++i) {
      worst = std::max(worst, std::abs(static_cast<double>(found.state[i]) - static_cast<double>(want.state[i])));
    }
    EXPECT_LT(worst, tolerance) << name_of(wire);
    const auto bytes = found.state.size() * sizeof(float);
    std::vector<float> firsts(found.state);
    world().broadcast(firsts.data(), bytes, 0, "test");
    EXPECT_EQ(std::memcmp(firsts.data(), found.state.data(), bytes), 0) << name_of(wire);
  }
}

TEST(Training, OneRanksWishToStopReachesAllInTheSameStep) {
  TrainingRig::Options wanted = options(momentum());
  wanted.communicator = &world();
  TrainingRig rig(wanted);
  for (int step = 1; step <= 3; ++step) {
    const bool asks = step == 2 && world().rank() == world().size() - 1;
    const StepResult result =
        rig.executable()
            .step(rig.load(step), {.step = step, .lr = 0.05, .momentum = {}, .grad_scale = 1}, {.stop = asks ? 1 : 0})
            .value();
    EXPECT_EQ(result.stop, step == 2) << step;
  }
}

TEST(Training, NumbersThatAreNotFiniteAreSeenByAllRanks) {
  for (const bool shard : {false, true}) {
    TrainingRig::Options wanted = options(momentum());
    wanted.communicator = &world();
    wanted.optimizer.shard = shard;
    TrainingRig rig(wanted);
    StepResult result;
    for (int step = 1; step <= 6 && (step == 1 || result.finite); ++step) {
      result =
          rig.executable().step(rig.load(step), {.step = step, .lr = 1e30, .momentum = {}, .grad_scale = 1}).value();
    }
    EXPECT_FALSE(result.finite);
    // Shards are named by their place in the batch, not in the rank.
    const std::optional<BadValue> bad = rig.executable().find_non_finite(rig.load(1));
    const ShardRange own = shards_of_rank(wanted.shards, world().rank(), world().size());
    if (bad) {
      EXPECT_GE(bad->shard, own.first);
      EXPECT_LT(bad->shard, own.last);
    }
  }
}

}  // namespace
}  // namespace athanor::distributed_test
