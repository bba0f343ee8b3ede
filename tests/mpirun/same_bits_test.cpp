// One experiment, any number of ranks: the program under mpirun ends with the weights, and writes the losses, that it
// has alone.
#include <gtest/gtest.h>

#include "kernels/isa.h"
#include "mpirun/job.h"

namespace athanor::mpirun_test {
namespace {

const std::string kMomentum = "{name: sgd, lr: 0.05, momentum: 0.9, weight_decay: 5e-4}";

/// Trains alone and over ranks; all must agree in weights, losses, norms and evaluations.
void expect_same_bits(const std::string& recipe, const std::vector<int>& worlds, const Words& overrides = {}) {
  const testing::TemporaryFolder root;
  const fs::path home = root / "home";
  write_file(home / "r.yaml", recipe);
  const auto train = [&](int ranks) {
    const std::string folder = "ranks" + std::to_string(ranks);
    Words words{"train", "r.yaml", "--run", folder};
    words.insert(words.end(), overrides.begin(), overrides.end());
    const Outcome outcome = run(home, ranks, words);
    EXPECT_EQ(outcome.code, 0) << ranks << " ranks: " << outcome.err;
    return home / folder;
  };
  const fs::path alone = train(0);
  const nlohmann::json want = summary_of(alone);
  ASSERT_EQ(want.value("status", ""), "done");
  for (const int ranks : worlds) {
    const fs::path together = train(ranks);
    const nlohmann::json found = summary_of(together);
    EXPECT_EQ(found.value("weights_sha256", ""), want.value("weights_sha256", "?")) << ranks << " ranks";
    EXPECT_EQ(found.value("world_size", 0), ranks);
    EXPECT_EQ(results_of(together), results_of(alone)) << ranks << " ranks";
  }
}

const std::vector<int> kWorlds = {1, 2, 3, 4, 5, 8};

TEST(SameBits, SgdWithMomentumAndAugmentation) {
  expect_same_bits(tiny_recipe(kMomentum), kWorlds);
}
// As wide as a vector: convolutions by Winograd's algorithm, with the norms between them inside.
TEST(SameBits, Winograd) {
  expect_same_bits(tiny_recipe(kMomentum), kWorlds, {"model.width=16"});
}
TEST(SameBits, Adam) {
  expect_same_bits(tiny_recipe("{name: adam, lr: 1e-3}"), kWorlds);
}
TEST(SameBits, AveragedWeights) {
  expect_same_bits(tiny_recipe(kMomentum, "ema: {decay: 0.9}\n"), kWorlds);
}
TEST(SameBits, Clipping) {
  expect_same_bits(tiny_recipe("{name: sgd, lr: 0.05, momentum: 0.9, clip_norm: 0.1}"), kWorlds);
}
TEST(SameBits, ShardedOptimizer) {
  expect_same_bits(tiny_recipe("{name: adam, lr: 1e-3, clip_norm: 0.5}", "ema: {decay: 0.9}\n"), kWorlds,
                   {"optimizer.shard=true"});
}
TEST(SameBits, Dropout) {
  expect_same_bits(
      "name: tiny\n"
      "data: {name: glyphs, train_size: 192, test_size: 61, side: 16}\n"
      "model:\n  input: [1, 16, 16]\n  layers:\n    - conv: {channels: 8, kernel: 3}\n    - relu\n"
      "    - dropout: {rate: 0.3}\n    - flatten\n    - linear: 10\n"
      "train: {epochs: 2, batch: 24, shards: 8, shard_threads: 1}\neval: {batch: 24}\n"
      "optimizer: " +
          kMomentum + "\n",
      kWorlds);
}
TEST(SameBits, SynchronizedBatchNorm) {
  expect_same_bits(tiny_recipe(kMomentum), kWorlds, {"model.synchronized_batch_norm=true"});
}
TEST(SameBits, SixShardsOnTwoAndFourRanks) {
  expect_same_bits(tiny_recipe(kMomentum), {2, 4}, {"train.shards=6"});
}
TEST(SameBits, Bfloat16) {
  if (!kernels::has_native_bf16()) GTEST_SKIP() << "this processor has no native bf16";
  expect_same_bits(tiny_recipe(kMomentum), kWorlds, {"train.precision=bf16"});
}
TEST(SameBits, HoldOutAndPlateau) {
  expect_same_bits(tiny_recipe(kMomentum, "schedule: {name: reduce_on_plateau, patience: 0}\n"), {3},
                   {"data.validation=40", "train.epochs=3"});
}

TEST(SameBits, FashionMnistResNet20) {
  const char* data = std::getenv("ATHANOR_DATA");
  const fs::path folder = data != nullptr ? fs::path(data) : fs::path(ATHANOR_SOURCE_DIR) / "../shared/data";
  if (!fs::exists(folder / "fashion-mnist")) GTEST_SKIP() << "no Fashion-MNIST in " << folder;
  expect_same_bits(read_file(ATHANOR_SOURCE_DIR "/configs/fashion-mnist/resnet20.yaml"), kWorlds,
                   {"train.shards=8", "train.shard_threads=1", "train.max_steps=3",
                    "data.path=" + (fs::absolute(folder) / "fashion-mnist").string()});
}

}  // namespace
}  // namespace athanor::mpirun_test
