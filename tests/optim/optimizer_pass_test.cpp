// Properties of the fused pass itself: bits that depend on nothing but the element, and what it must not touch.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "base/random.h"
#include "kernels/optimizer.h"
#include "optim/fixture.h"

namespace athanor {
namespace {

using kernels::OptimizerRule;

constexpr std::int64_t kElements = 1003;

kernels::StepScalars some_scalars() {
  return {.grad_scale = 0.37f,
          .clip_value = 0.6f,
          .lr = 0.013f,
          .lr_correction = 1.7f,
          .momentum = 0.91f,
          .fresh = 0.83f,
          .first_rest = 0.1f,
          .second_keep = 0.99f,
          .second_rest = 0.01f,
          .root_scale = 3.3f,
          .eps = 1e-8f,
          .ema_rest = 0.003f};
}

/// Weights, gradients, three slots and the average, one after another.
struct Buffers {
  std::vector<float> values[6];

  Buffers() {
    for (std::uint64_t i = 0; i < 6; ++i) {
      RandomStream stream(11, Purpose::test, i, 0);
      for (std::int64_t j = 0; j < kElements; ++j) {
        const float x = static_cast<float>(stream.normal());
        values[i].push_back(i == 2 || i == 3 ? std::abs(x) : x);  // squares
      }
    }
  }
  kernels::OptimizerRange range(std::int64_t begin, std::int64_t end) {
    kernels::OptimizerRange range;
    range.arenas.weights = values[0].data();
    range.arenas.gradients = values[1].data();
    for (int i = 0; i < 3; ++i) range.arenas.slots[i] = values[2 + i].data();
    range.arenas.ema = values[5].data();
    range.begin = begin;
    range.end = end;
    range.lr_scale = 0.7f;
    range.l2_decay = 0.01f;
    range.decoupled_decay = 0.02f;
    return range;
  }
  bool same_bits(const Buffers& other) const {
    for (int i = 0; i < 6; ++i) {
      if (std::memcmp(values[i].data(), other.values[i].data(), sizeof(float) * kElements) != 0) return false;
    }
    return true;
  }
};

class EveryRule : public ::testing::TestWithParam<int> {
 protected:
  OptimizerRule rule() const { return static_cast<OptimizerRule>(GetParam()); }
};
INSTANTIATE_TEST_SUITE_P(Rules, EveryRule, ::testing::Range(0, kernels::kOptimizerRules));

TEST_P(EveryRule, BitsDoNotDependOnWhereARangeIsSplit) {
  for (const kernels::Isa isa : test::runnable_isas()) {
    const auto kernel = kernels::optimizer_kernel(rule(), true, isa);
    Buffers whole;
    kernel(whole.range(0, kElements), some_scalars());
    for (std::uint64_t trial = 0; trial < 20; ++trial) {
      RandomStream stream(5, Purpose::test, trial, 0);
      Buffers split;
      for (std::int64_t begin = 0; begin < kElements;) {
        const std::int64_t end = std::min<std::int64_t>(begin + 1 + stream.next() % (3 + 40 * trial), kElements);
        kernel(split.range(begin, end), some_scalars());
        begin = end;
      }
      EXPECT_TRUE(whole.same_bits(split)) << name_of(isa) << ", trial " << trial;
    }
  }
}

TEST_P(EveryRule, BitsDoNotDependOnTheInstructionSet) {
  Buffers reference;
  kernels::optimizer_kernel(rule(), true, kernels::Isa::baseline)(reference.range(0, kElements), some_scalars());
  for (const kernels::Isa isa : test::runnable_isas()) {
    Buffers other;
    kernels::optimizer_kernel(rule(), true, isa)(other.range(0, kElements), some_scalars());
    EXPECT_TRUE(reference.same_bits(other)) << name_of(isa);
  }
}

TEST_P(EveryRule, AveragingLeavesTheWeightsAlone) {
  Buffers with, without;
  kernels::update(rule(), with.range(0, kElements), some_scalars());
  kernels::OptimizerRange range = without.range(0, kElements);
  range.arenas.ema = nullptr;
  kernels::update(rule(), range, some_scalars());
  EXPECT_NE(with.values[5], without.values[5]);
  with.values[5] = without.values[5];
  EXPECT_TRUE(with.same_bits(without));
}

TEST_P(EveryRule, TouchesOnlyItsRangeAndSlots) {
  const Buffers before;
  Buffers after;
  kernels::update(rule(), after.range(101, 230), some_scalars());
  for (int i = 0; i < 6; ++i) {
    const bool written = i == 0 || i == 5 || (i >= 2 && i < 2 + kernels::slot_count(rule()));
    for (std::size_t j = 0; j < kElements; ++j) {
      if (written && j >= 101 && j < 230) continue;
      ASSERT_EQ(before.values[i][j], after.values[i][j]) << "buffer " << i << ", element " << j;
    }
    EXPECT_EQ(written, before.values[i] != after.values[i]) << "buffer " << i;
  }
}

TEST_P(EveryRule, SkippedStepWritesNothing) {
  const Buffers before;
  Buffers after;
  kernels::StepScalars scalars = some_scalars();
  scalars.skip = 1;
  kernels::update(rule(), after.range(0, kElements), scalars);
  EXPECT_TRUE(before.same_bits(after));
}

TEST_P(EveryRule, StateMayStartInsideTheArena) {
  constexpr std::int64_t kOrigin = 64;
  Buffers whole, part;
  kernels::update(rule(), whole.range(kOrigin, kElements), some_scalars());
  kernels::OptimizerRange range = part.range(kOrigin, kElements);
  for (float*& slot : range.arenas.slots) slot += kOrigin;
  range.arenas.ema += kOrigin;
  range.arenas.state_origin = kOrigin;
  kernels::update(rule(), range, some_scalars());
  EXPECT_TRUE(whole.same_bits(part));
}

TEST_P(EveryRule, NotANumberIsNotClippedAway) {
  Buffers buffers;
  buffers.values[1][17] = std::numeric_limits<float>::quiet_NaN();
  kernels::update(rule(), buffers.range(0, kElements), some_scalars());
  for (std::size_t i = 0; i < kElements; ++i) EXPECT_EQ(std::isnan(buffers.values[0][i]), i == 17) << i;
}

}  // namespace
}  // namespace athanor
