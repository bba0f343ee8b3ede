// How often the lanes of a step wait for each other: a wait costs a small network more than some of its ops, so the
// number is part of what a step promises.
#include <gtest/gtest.h>

#include "backend/cpu/cpu_executable.h"
#include "support/training_rig.h"

namespace athanor::cpu {
namespace {

using testing::TrainingRig;

/// Barriers of one step of a small network, which are the same in every step.
std::uint32_t barriers_of_step(int shards, int lanes, double clip_norm = 0) {
  ModelSpec model;
  model.name = "cifar_resnet";
  model.attributes = {{"depth", std::int64_t{8}}};
  TrainingRig rig({.model = model,
                   .optimizer = make_optimizer("sgd", {{"lr", 0.01}, {"clip_norm", clip_norm}}),
                   .batch = 8,
                   .shards = shards,
                   .lanes = lanes});
  const auto& executable = dynamic_cast<const CpuExecutable&>(rig.executable());
  rig.train(1);
  const std::uint32_t before = executable.barriers();
  rig.train(2);
  const std::uint32_t once = executable.barriers() - before;
  rig.train(3);
  EXPECT_EQ(executable.barriers() - before, 2 * once);
  return once;
}

TEST(Barriers, OfAStepInOneWaveAreFive) {
  // Behind: the prologue, the passes, the first bucket's loss, the updates, the step.
  EXPECT_EQ(barriers_of_step(1, 1), 5);
  EXPECT_EQ(barriers_of_step(2, 2), 5);
}

TEST(Barriers, AreTwoMoreForEachWaveWhoseSumsAreAddedUp) {
  EXPECT_EQ(barriers_of_step(4, 2), 7);
  EXPECT_EQ(barriers_of_step(8, 2), 11);
}

TEST(Barriers, AreOneMoreWhereTheUpdateNeedsTheWholeNorm) {
  EXPECT_EQ(barriers_of_step(2, 2, 1), 6);
}

}  // namespace
}  // namespace athanor::cpu
