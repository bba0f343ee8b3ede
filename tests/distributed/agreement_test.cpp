// What ranks agree on beside the sums: failures, what they must have alike, weights, cores, checkpoints.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>

#include "distributed/world.h"
#include "support/training_rig.h"
#include "train/core_share.h"
#include "train/phases.h"
#include "train/rank_agreement.h"
#include "train/recipe.h"
#include "train/stored_run.h"
#include "train/verify_ranks.h"

namespace athanor::distributed_test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

/// What `act` throws on this rank.
template <typename Thrown>
std::string message_of(const std::function<void()>& act) {
  try {
    act();
  } catch (const Thrown& error) {
    if (world().size() > 1) {
      EXPECT_NE(dynamic_cast<const OnAllRanks*>(&error), nullptr) << error.what();
    }
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return "";
}

TEST(Phases, AFailureOfOneRankIsThrownOnAllWithItsName) {
  const int last = world().size() - 1;
  const std::string message = message_of<DataError>([&] {
    agree_on(world(), "test", [&] {
      if (world().rank() == last) throw DataError("the file is torn");
    });
  });
  EXPECT_THAT(message, HasSubstr("the file is torn"));
  if (world().size() > 1) {
    EXPECT_THAT(message, HasSubstr(world().name_of(last) + ": "));
  }
  EXPECT_EQ(world().agree(0, "test"), 0) << "they meet again";
}

TEST(Phases, AFailureOfAllIsSaidWithoutAName) {
  const std::string message =
      message_of<UsageError>([] { agree_on(world(), "test", [] { throw UsageError("unknown key\nand another"); }); });
  EXPECT_EQ(message, "unknown key\nand another");
}

TEST(Phases, OfSeveralFailuresTheLowestRanksIsThrown) {
  if (world().size() < 3) GTEST_SKIP() << "needs three ranks";
  const std::string message = message_of<StorageError>([] {
    agree_on(world(), "test", [] {
      if (world().rank() == 1) throw StorageError("disk");
      if (world().rank() == 2) throw std::bad_alloc();
    });
  });
  EXPECT_EQ(message, world().name_of(1) + ": disk");
}

Recipe recipe_with(const std::vector<std::string>& overrides) {
  return parse_recipe(
      "data: {name: mnist, path: /a}\nmodel: {name: cifar_resnet, depth: 8}\noptimizer: {name: sgd, lr: 0.1}\n"
      "train: {batch: 8, shards: 8}\n",
      "r.yaml", overrides);
}

TEST(Agreement, OfRecipesNamesTheKeyAndTheRank) {
  // Files may lie elsewhere on another host.
  want_same_recipe(world(), recipe_with({fmt::format("data.path=/scratch{}", world().rank())}));
  if (world().size() == 1) return;
  const int last = world().size() - 1;
  const Recipe recipe =
      recipe_with(world().rank() == last ? std::vector<std::string>{"optimizer.lr=0.2"} : std::vector<std::string>{});
  EXPECT_THAT(message_of<UsageError>([&] { want_same_recipe(world(), recipe); }),
              AllOf(HasSubstr(world().name_of(last)), HasSubstr("optimizer.lr is 0.2 there and 0.1 on rank 0")));
  EXPECT_THAT(
      message_of<UsageError>([&] { want_same_program(world(), world().rank() == last ? "Athanor 2" : "Athanor 1"); }),
      AllOf(HasSubstr(world().name_of(last)), HasSubstr("Athanor 2 there and Athanor 1 on rank 0")));
}

TEST(Agreement, OfWeightsNamesTheRankThatDiffersAndTheTensor) {
  testing::TrainingRig rig({.model = {.name = "cifar_resnet", .attributes = {{"depth", std::int64_t{8}}}},
                            .optimizer = make_optimizer("sgd", {{"lr", 0.05}}),
                            .batch = 16,
                            .shards = 8,
                            .communicator = &world()});
  Executable& executable = rig.executable();
  want_same_weights(executable, world(), 1);
  if (world().size() < 3) return;
  const StateEntry entry = executable.list_state().at(2);
  if (world().rank() == 1) {
    std::vector<float> values(static_cast<std::size_t>(entry.shape.elements()));
    executable.read_state(entry, values);
    // The last bit of one weight.
    values.back() = std::bit_cast<float>(std::bit_cast<std::uint32_t>(values.back()) ^ 1U);
    executable.write_state(entry, values);
  }
  const std::string message = message_of<NumericsError>([&] { want_same_weights(executable, world(), 7); });
  EXPECT_THAT(message, AllOf(HasSubstr("after step 7"), HasSubstr(world().name_of(1)),
                             HasSubstr("first in " + entry.name), Not(HasSubstr(world().name_of(0)))));
}

TEST(Agreement, OfACheckpointThatRankZeroReadIsToTheBit) {
  CheckpointContents contents;
  contents.recipe_text = "name: a\n";
  contents.step = 12;
  contents.numbers = {{"seed", -1}};
  contents.reals = {
      {"a", std::nextafter(0.1, 1)}, {"b", -std::numeric_limits<double>::infinity()}, {"c", std::nan("")}};
  contents.attributes = {{"about", std::string("\xff not UTF-8")}};
  contents.tensors = {{"parameters", "w", Shape{2, 3}, {1, 2, 3, 4, 5, -0.0f}}, {"optimizer/m", "w", Shape{}, {7}}};
  const auto stored =
      StoredRun::share(world(), "somewhere/step.h5", world().rank() == 0 ? std::optional(contents) : std::nullopt);
  ASSERT_TRUE(stored);
  EXPECT_EQ(stored->path(), "somewhere/step.h5");
  EXPECT_EQ(stored->meta().numbers, contents.numbers);
  EXPECT_EQ(stored->meta().attributes, contents.attributes);
  for (const auto& [name, value] : contents.reals) {
    EXPECT_EQ(std::bit_cast<std::uint64_t>(stored->meta().reals.at(name)), std::bit_cast<std::uint64_t>(value)) << name;
  }
  EXPECT_EQ(stored->find("optimizer/m", "w"), 1);
  EXPECT_EQ(stored->find("average", "w"), -1);
  EXPECT_TRUE(stored->tensors()[0].shape == (Shape{2, 3}));
  const std::vector<float> values = stored->values(world(), 0);
  EXPECT_TRUE(std::signbit(values.at(5)));
  EXPECT_EQ(values, contents.tensors[0].values);
  EXPECT_FALSE(StoredRun::share(world(), "", std::nullopt));
}

TEST(Agreement, OfCoresGivesEachRankItsShareAndAllTheFirstOnes) {
  Hardware hardware = probe_hardware();
  share_cores(hardware, world());
  EXPECT_GE(hardware.cores, 1);
  std::vector<int> firsts(static_cast<std::size_t>(world().size()));
  world().all_gather(&hardware.first_rank_cores, firsts.data(), sizeof(int), "test");
  EXPECT_THAT(firsts, ::testing::Each(hardware.first_rank_cores));
  if (world().rank() == 0) {
    EXPECT_EQ(hardware.cores, hardware.first_rank_cores);
  }
}

}  // namespace
}  // namespace athanor::distributed_test
