// What the guard decides: norm, clipping, non-finite numbers, loss scale, the count of updates.
#include "kernels/cuda/guard.h"

#include "gpu/kernels/guarded.h"
#include "kernels/cuda/reduce.h"
#include "optim/clipping.h"
#include "optim/optimizer.h"

namespace athanor::kernels::cuda::testing {
namespace {

struct Step {
  StepControl control{.lr = 0.1};
  StepMemory memory{.loss_scale = 1};
  float loss = 6, correct[2] = {10, 20};
  std::vector<double> block_sums = {9, 16};
  std::vector<float> statistics = std::vector<float>(3000, 1.0f);
  StepScalars scalars;
  StepOutcome outcome;
  Guard guard;

  Step() {
    guard.shards = 2;
    guard.optimizer = {.rule = OptimizerRule::sgd_momentum, .momentum = 0.9, .clip_norm = 2.5};
  }
  void decide() {
    guard.control = &control;
    guard.memory = &memory;
    guard.loss = &loss;
    guard.correct = correct;
    guard.block_sums = block_sums.data();
    guard.blocks = static_cast<std::int64_t>(block_sums.size());
    guard.statistics = statistics.data();
    guard.statistic_count = static_cast<std::int64_t>(statistics.size());
    guard.scalars = &scalars;
    guard.outcome = &outcome;
    run(guard);
  }
};

TEST(GpuGuard, ReportsTheStepAndClips) {
  Step step;
  step.decide();
  EXPECT_EQ(step.outcome.finite, 1);
  EXPECT_EQ(step.outcome.loss, 3);
  EXPECT_EQ(step.outcome.correct, 10);
  EXPECT_EQ(step.outcome.correct_top5, 20);
  EXPECT_EQ(step.outcome.grad_norm, 5);
  EXPECT_EQ(step.outcome.updates, 1);
  EXPECT_EQ(step.scalars.grad_scale, static_cast<float>(clip_factor(5, 2.5)));
  EXPECT_EQ(step.scalars.fresh, 1.0f);
  EXPECT_EQ(step.scalars.momentum, 0.9f);
  EXPECT_EQ(step.scalars.skip, 0);
  step.control.has_momentum = 1;
  step.control.momentum = 0.5;
  step.decide();
  EXPECT_EQ(step.memory.updates, 2);
  EXPECT_EQ(step.scalars.momentum, 0.5f);
}

TEST(GpuGuard, AddsBlocksInTheTreeOfTheCpu) {
  in_both_orders([] {
    for (const std::int64_t count : {0, 1, 2, 3, 7, 2047, 2048, 2049, 5000, 10001}) {
      Step step;
      Guarded squares(DType::f32, count);
      squares.fill_random(static_cast<std::uint64_t>(count));
      step.block_sums.clear();
      for (std::int64_t i = 0; i < count; ++i) step.block_sums.push_back(std::exp(squares[i]));
      step.decide();
      EXPECT_EQ(step.outcome.grad_norm, std::sqrt(tree_sum(step.block_sums.data(), count))) << count;
    }
  });
}

TEST(GpuGuard, NumbersThatAreNotFiniteSkipTheUpdate) {
  for (int place = 0; place < 3; ++place) {
    for (const bool stops : {false, true}) {
      Step step;
      step.guard.stops_on_nonfinite = stops;
      if (place == 0) step.loss = NAN;
      if (place == 1) step.block_sums[1] = INFINITY;
      if (place == 2) step.statistics[2777] = -INFINITY;
      step.decide();
      EXPECT_EQ(step.outcome.finite, 0) << place;
      EXPECT_EQ(step.scalars.skip, 1);
      EXPECT_EQ(step.outcome.updates, 0);
      Step next;
      next.memory = step.memory;
      next.decide();
      EXPECT_EQ(next.outcome.finite, 1);
      EXPECT_EQ(next.scalars.skip, stops ? 1 : 0);
    }
  }
}

TEST(GpuGuard, MovesTheLossScale) {
  Step step;
  step.guard.scales_loss = true;
  step.guard.stops_on_nonfinite = true;
  step.memory.loss_scale = 1024;
  step.block_sums = {25.0 * 1024 * 1024};
  step.decide();
  EXPECT_EQ(step.outcome.grad_norm, 5);
  EXPECT_EQ(step.outcome.loss_scale, 1024);
  EXPECT_EQ(step.scalars.grad_scale, static_cast<float>(clip_factor(5, 2.5) / 1024));
  EXPECT_EQ(step.memory.good_steps, 1);
  step.block_sums = {INFINITY};
  step.decide();
  EXPECT_EQ(step.memory.loss_scale, 512);
  EXPECT_EQ(step.memory.good_steps, 0);
  EXPECT_EQ(step.memory.halted, 0);
  EXPECT_EQ(step.scalars.skip, 1);
  step.block_sums = {1};
  step.memory.good_steps = 1999;
  step.decide();
  EXPECT_EQ(step.memory.loss_scale, 1024);
  EXPECT_EQ(step.memory.good_steps, 0);
  step.memory.loss_scale = 1;
  step.block_sums = {NAN};
  step.decide();
  EXPECT_EQ(step.memory.loss_scale, 1);
  step.memory = {.loss_scale = 16777216.0f, .good_steps = 1999};
  step.block_sums = {1};
  step.decide();
  EXPECT_EQ(step.memory.loss_scale, 16777216.0f);
}

TEST(GpuGuard, CountsUpdatesFromWhereTheHostSays) {
  Step step;
  step.control.first_update = 41;
  step.decide();
  EXPECT_EQ(step.outcome.updates, 41);
  step.control.first_update = 0;
  step.decide();
  EXPECT_EQ(step.outcome.updates, 42);
}

TEST(GpuGuard, ScalarsAreThoseOfTheHost) {
  for (const char* name : {"sgd", "adam", "adamw", "rmsprop", "adagrad"}) {
    OptimizerSpec spec = make_optimizer(name, {});
    spec.clip_value = 3;
    spec.ema = {0.999, true};
    Step step;
    step.guard.optimizer = settings_of(spec);
    for (std::int64_t t = 1; t < 4; ++t) {
      step.decide();
      const StepScalars want = step_scalars(spec, {.step = t, .lr = 0.1, .momentum = {}, .grad_scale = 1});
      EXPECT_EQ(std::memcmp(&step.scalars, &want, sizeof want), 0) << name << " update " << t;
    }
  }
}

TEST(GpuReduce, SquaresOfBlocks) {
  in_both_orders([] {
    for (const std::int64_t count : {0, 1, 4095, 4096, 4097, 10000}) {
      for (const bool shift : {false, true}) {
        Guarded x(DType::f32, count, shift);
        x.fill_random(1);
        std::vector<double> sums(static_cast<std::size_t>(sum_blocks(count)) + 1, -1);
        run(SumOfSquares{x.as<float>(), count, sums.data()});
        EXPECT_EQ(sums.back(), -1);
        for (std::size_t block = 0; block + 1 < sums.size(); ++block) {
          double want = 0;
          for (std::int64_t i = static_cast<std::int64_t>(block) * kSumBlock;
               i < std::min(count, (static_cast<std::int64_t>(block) + 1) * kSumBlock); ++i) {
            want += x[i] * x[i];
          }
          EXPECT_NEAR(sums[block], want, 1e-12 * want);
        }
      }
    }
  });
}

TEST(GpuReduce, SumsCopiesExchangesAndTests) {
  for (const std::int64_t count : {0, 1, 3, 4, 1001}) {
    for (const bool shift : {false, true}) {
      Guarded a(DType::f32, count, shift), b(DType::f32, count), sum(DType::f32, count), copy(DType::f32, count);
      a.fill_random(1);
      b.fill_random(2);
      run(TreeAdd{.left = a.as<float>(), .right = b.as<float>(), .target = sum.as<float>(), .count = count});
      run(TreeAdd{.left = a.as<float>(), .target = copy.as<float>(), .count = count});
      run(Swap{a.as<float>(), b.as<float>(), count});
      for (std::int64_t i = 0; i < count; ++i) {
        ASSERT_EQ(b[i], copy[i]);
        ASSERT_EQ(sum[i], sum.rounded(a[i] + b[i]));
      }
    }
  }
}

TEST(GpuReduce, FindsTheOneThatIsNotFinite) {
  for (const DType dtype : kFloatTypes) {
    for (const double bad : {static_cast<double>(NAN), static_cast<double>(INFINITY)}) {
      for (const std::int64_t place : {-1, 0, 1000, 2002}) {
        Guarded x(dtype, 2003);
        x.fill_random(1);
        if (place >= 0) x.set(place, bad);
        std::int32_t flag = 1;
        run(IsFinite{dtype, x.data(), x.count(), &flag});
        EXPECT_EQ(flag, place < 0 ? 1 : 0);
      }
    }
  }
}

TEST(GpuReduce, HashesAreThoseOfTheirTerms) {
  Guarded x(DType::f32, 5000);
  x.fill_random(1);
  const HashRange ranges[] = {{x.data(), 5000}, {x.as<float>() + 1, 77}, {x.data(), 0}};
  std::uint64_t hashes[3] = {1, 2, 3};
  run(HashBlocks{ranges, 3, hashes});
  for (int r = 0; r < 3; ++r) {
    std::uint64_t want = 0;
    for (std::int64_t i = 0; i < ranges[r].count; ++i) {
      std::uint32_t bits = 0;
      std::memcpy(&bits, static_cast<const float*>(ranges[r].data) + i, sizeof bits);
      want += hash_term(i, bits);
    }
    EXPECT_EQ(hashes[r], want);
  }
}

}  // namespace
}  // namespace athanor::kernels::cuda::testing
