// The optimizer's pass and the running statistics have the CPU's bits, wherever segments begin and end.
#include "kernels/cuda/optimizer.h"

#include "gpu/kernels/guarded.h"

namespace athanor::kernels::cuda::testing {
namespace {

constexpr std::int64_t kElements = 9000;

StepScalars scalars_of_a_step() {
  StepScalars step;
  step.grad_scale = 0.7f;
  step.clip_value = 1.5f;
  step.lr = 0.01f;
  step.lr_correction = 1.25f;
  step.momentum = 0.9f;
  step.fresh = 0.95f;
  step.first_rest = 0.1f;
  step.second_keep = 0.99f;
  step.second_rest = 0.01f;
  step.root_scale = 1.5f;
  step.eps = 1e-8f;
  step.ema_rest = 0.001f;
  return step;
}

/// Odd bounds, neighbours within one pack, a hole, and one segment of several blocks.
std::vector<OptimizerSegment> odd_segments() {
  return {{0, 16, 1, 0, 0},       {16, 17, 2, 1e-4f, 0},   {17, 19, 1, 0, 1e-2f},
          {23, 101, 1, 5e-4f, 0}, {128, 8193, 0.5f, 0, 0}, {8193, kElements, 1, 0, 0.1f}};
}

struct Arenas {
  Guarded weights{DType::f32, kElements}, gradients{DType::f32, kElements}, ema{DType::f32, kElements};
  Guarded slot0{DType::f32, kElements}, slot1{DType::f32, kElements}, slot2{DType::f32, kElements};
  std::vector<Guarded*> all() { return {&weights, &gradients, &ema, &slot0, &slot1, &slot2}; }
  Arenas() {
    std::uint64_t seed = 1;
    for (Guarded* array : all()) {
      array->fill_random(seed++);
      // State that is a sum of squares is not negative.
      for (std::int64_t i = 0; seed > 4 && i < kElements; ++i) array->set(i, std::abs((*array)[i]));
    }
  }
  OptimizerArenas pointers(bool with_ema) {
    return {weights.as<float>(),
            gradients.as<float>(),
            {slot0.as<float>(), slot1.as<float>(), slot2.as<float>()},
            with_ema ? ema.as<float>() : nullptr,
            0};
  }
};

void expect_equal_bits(Arenas& got, Arenas& want) {
  for (std::size_t i = 0; i < got.all().size(); ++i) {
    ASSERT_EQ(std::memcmp(got.all()[i]->data(), want.all()[i]->data(), kElements * sizeof(float)), 0) << "array " << i;
  }
}

TEST(GpuOptimizer, EveryRuleHasTheBitsOfTheCpu) {
  const std::vector<OptimizerSegment> segments = odd_segments();
  const StepScalars step = scalars_of_a_step();
  for (int rule = 0; rule < kOptimizerRules; ++rule) {
    for (const bool with_ema : {false, true}) {
      SCOPED_TRACE(::testing::Message() << "rule " << rule << " ema " << with_ema);
      Arenas got, want;
      const OptimizerPass pass{.rule = static_cast<OptimizerRule>(rule),
                               .arenas = got.pointers(with_ema),
                               .segments = segments.data(),
                               .segment_count = static_cast<std::int32_t>(segments.size()),
                               .elements = kElements,
                               .scalars = &step};
      run(pass);
      for (const OptimizerSegment& s : segments) {
        update(pass.rule, {want.pointers(with_ema), s.begin, s.end, s.lr_scale, s.l2_decay, s.decoupled_decay}, step);
      }
      expect_equal_bits(got, want);
    }
  }
}

TEST(GpuOptimizer, KeepsApartStateAndWritesTheWeightsCast) {
  const std::vector<OptimizerSegment> segments = {{4097, kElements, 1, 1e-4f, 0}};
  const StepScalars step = scalars_of_a_step();
  for (const std::int64_t origin : {std::int64_t{4096}, std::int64_t{4097}}) {
    for (const DType cast_to : {DType::bf16, DType::f16}) {
      Arenas got, want;
      Guarded cast(cast_to, kElements);
      OptimizerPass pass{.rule = OptimizerRule::adam,
                         .arenas = got.pointers(true),
                         .segments = segments.data(),
                         .segment_count = 1,
                         .elements = kElements,
                         .scalars = &step,
                         .cast_to = cast_to,
                         .cast = cast.data()};
      pass.arenas.state_origin = origin;
      OptimizerArenas cpu = want.pointers(true);
      cpu.state_origin = origin;
      run(pass);
      update(pass.rule, {cpu, 4097, kElements, 1, 1e-4f, 0}, step);
      expect_equal_bits(got, want);
      for (std::int64_t i = 4097; i < kElements; ++i) ASSERT_EQ(cast[i], cast.rounded(got.weights[i]));
      EXPECT_TRUE(std::isnan(cast[4096]));
    }
  }
}

TEST(GpuOptimizer, ASkippedStepWritesNothing) {
  const std::vector<OptimizerSegment> segments = odd_segments();
  StepScalars step = scalars_of_a_step();
  step.skip = 1;
  Arenas got, want;
  run(OptimizerPass{.rule = OptimizerRule::adam,
                    .arenas = got.pointers(true),
                    .segments = segments.data(),
                    .segment_count = static_cast<std::int32_t>(segments.size()),
                    .elements = kElements,
                    .scalars = &step});
  const StatisticRange range{0, kElements, 0.1f};
  run(UpdateStatistics{got.weights.as<float>(), got.ema.as<float>(), got.gradients.as<float>(), &range, 1, 4, &step});
  expect_equal_bits(got, want);
}

TEST(GpuOptimizer, StatisticsFollowWithTheirAverage) {
  const StepScalars step = scalars_of_a_step();
  const StatisticRange ranges[] = {{3, 300, 0.1f}, {512, 1, 0.5f}};
  Arenas got, want;
  run(UpdateStatistics{got.weights.as<float>(), got.ema.as<float>(), got.gradients.as<float>(), ranges, 2, 4, &step});
  for (const StatisticRange& range : ranges) {
    for (std::int64_t i = range.offset; i < range.offset + range.count; ++i) {
      float& state = want.weights.as<float>()[i];
      float& average = want.ema.as<float>()[i];
      state = (1.0f - range.momentum) * state + range.momentum * (want.gradients.as<float>()[i] * 0.25f);
      average += step.ema_rest * (state - average);
    }
  }
  expect_equal_bits(got, want);
}

}  // namespace
}  // namespace athanor::kernels::cuda::testing
