// Ten steps of every optimizer against torch in double precision, through the plan and the fused pass.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "optim/clipping.h"
#include "optim/fixture.h"
#include "optim/optimize_plan.h"

namespace athanor {
namespace {

using nlohmann::json;

const std::vector<ArenaParameter> kParityParameters{{"conv.weight", 0, 21}, {"conv.bias", 32, 16}};
const std::vector<ParameterGroup> kGroups{{.match = {"*.bias"}, .weight_decay = 0.02, .lr_scale = 0.5}};
constexpr std::int64_t kArena = 48;

std::vector<float> to_arena(const std::vector<double>& packed) {
  std::vector<float> arena(kArena, 0.0f);
  std::size_t next = 0;
  for (const ArenaParameter& parameter : kParityParameters) {
    for (std::int64_t i = 0; i < parameter.elements; ++i) {
      arena[static_cast<std::size_t>(parameter.offset + i)] = static_cast<float>(packed[next++]);
    }
  }
  return arena;
}

/// The pass rounds to fp32 a few times per step and torch, here, does not: ten steps of half an ulp each of the
/// largest value in the vector are 6e-7 of it.
void expect_close(const std::vector<float>& arena, const json& wanted, const std::string& what) {
  const std::vector<double> values = wanted;
  double largest = 0;
  for (const double value : values) largest = std::max(largest, std::abs(value));
  std::size_t next = 0;
  for (const ArenaParameter& parameter : kParityParameters) {
    for (std::int64_t i = 0; i < parameter.elements; ++i, ++next) {
      const double got = arena[static_cast<std::size_t>(parameter.offset + i)];
      EXPECT_NEAR(got, values[next], 1e-6 * largest) << what << ", " << parameter.name << '[' << i << ']';
    }
  }
}

/// The arenas of one run of a case.
struct CaseRun {
  OptimizerSpec spec;
  std::vector<OptimizeStep> plan;
  std::vector<float> weights, ema;
  std::vector<std::vector<float>> slots;

  explicit CaseRun(const json& c) {
    const std::string name = c["name"];
    spec = make_optimizer(name, test::attributes_of("optimizer", name, c["attributes"]));
    if (c.contains("ema_decay")) spec.ema.decay = c["ema_decay"];
    plan = plan_optimize_steps(spec, kGroups, kParityParameters, {{0, 13}, {13, kArena}});
    weights = to_arena(test::fixture()["weights"]);
    ema = weights;
    for (const StateSlot& slot : spec.slots) slots.emplace_back(kArena, slot.initial);
  }

  void step(const json& c, std::size_t index, kernels::Isa isa) {
    std::vector<float> gradients = to_arena(test::fixture()["gradients"][index]);
    StepInputs inputs{.step = static_cast<std::int64_t>(index) + 1, .lr = c["lr"][index], .momentum = {}};
    if (c.contains("momentum")) inputs.momentum = c["momentum"][index].get<double>();
    inputs.grad_scale = c["grad_scale"];
    double squares = 0;
    for (const float g : gradients) squares += static_cast<double>(g) * g;
    inputs.grad_scale *= clip_factor(std::sqrt(squares) * inputs.grad_scale, spec.clip_norm);
    kernels::OptimizerArenas arenas{.weights = weights.data(), .gradients = gradients.data()};
    for (std::size_t i = 0; i < slots.size(); ++i) arenas.slots[i] = slots[i].data();
    if (spec.ema.enabled()) arenas.ema = ema.data();
    const kernels::StepScalars scalars = step_scalars(spec, inputs);
    const auto kernel = kernels::optimizer_kernel(spec.rule, spec.ema.enabled(), isa);
    for (const OptimizeStep& bucket : plan) {
      for (const OptimizeSegment& segment : bucket.segments) kernel(kernel_range(arenas, segment), scalars);
    }
  }
};

TEST(OptimizerParity, EveryRuleFollowsTorchOnEveryInstructionSet) {
  const json& all = test::fixture();
  ASSERT_GE(all["optimizers"].size(), 26u);
  for (const json& c : all["optimizers"]) {
    for (const kernels::Isa isa : test::runnable_isas()) {
      const std::string label = c["name"].get<std::string>() + c["attributes"].dump() + std::string(name_of(isa));
      CaseRun run(c);
      for (std::size_t i = 0; i < 10; ++i) {
        run.step(c, i, isa);
        if (i < 2) expect_close(run.weights, c["weights"][i], label + " step " + std::to_string(i + 1));
      }
      expect_close(run.weights, c["weights"][2], label + " step 10");
      ASSERT_EQ(run.spec.slots.size(), c["state"].size()) << label;
      for (std::size_t i = 0; i < run.slots.size(); ++i) {
        const std::string& slot = run.spec.slots[i].name;
        expect_close(run.slots[i], c["state"][slot], label + " " + slot);
      }
      if (c.contains("ema")) expect_close(run.ema, c["ema"], label + " ema");
      for (std::size_t i = 21; i < 32; ++i) EXPECT_EQ(run.weights[i], 0.0f) << label << ": padding moved";
    }
  }
}

}  // namespace
}  // namespace athanor
