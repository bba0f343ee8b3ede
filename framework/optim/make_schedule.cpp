// The recipe's section `schedule`: one schema per name, and the schedule that its values describe.
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "config/registry.h"
#include "optim/schedule.h"

namespace athanor {
namespace {

Schema schema(std::string name, std::string doc, std::vector<Field> fields) {
  fields.push_back(
      integer("warmup_steps", 0, "Updates of linear warm-up before the schedule, which then starts from its 0.")
          .at_least(0));
  fields.push_back(real("warmup_epochs", 0.0, "The same, in epochs.").at_least(0));
  fields.push_back(
      real("warmup_factor", 1.0 / 3, "Share of the rate at the first update of the warm-up.").at_least(0).at_most(1));
  return {.name = std::move(name), .doc = std::move(doc), .fields = std::move(fields), .shorthand = ""};
}

Field per(std::string value) {
  return text("per", std::move(value), "What the schedule counts.").one_of({"epoch", "step"});
}
Field gamma(std::optional<double> value) {
  return real("gamma", value, "Factor of the rate.").above(0);
}

const RegisterSchema kConstant{"schedule", schema("constant", "The rate stays.", {})};
const RegisterSchema kStep{
    "schedule",
    schema("step", "Times gamma every step_size.",
           {integer("step_size", std::nullopt, "Distance of the reductions.").at_least(1), gamma(0.1), per("epoch")})};
const RegisterSchema kMultiStep{
    "schedule",
    schema("multi_step", "Times gamma at every milestone.",
           {integers("milestones", std::nullopt, "Where to reduce, counted from the end of the warm-up.").at_least(0),
            gamma(0.1), per("epoch")})};
const RegisterSchema kExponential{
    "schedule", schema("exponential", "Times gamma every time.", {gamma(std::nullopt), per("epoch")})};
const RegisterSchema kCosine{
    "schedule", schema("cosine", "Half a cosine from the rate to eta_min, once or with restarts.",
                       {integer("t_max", 0, "Length without restarts; 0: to the end of the run.").at_least(0),
                        integer("t_0", 0, "Length until the first restart; 0: no restarts.").at_least(0),
                        integer("t_mult", 1, "How much longer each next period is.").at_least(1),
                        real("eta_min", 0.0, "Lowest rate.").at_least(0), per("epoch")})};
const RegisterSchema kPolynomial{"schedule",
                                 schema("polynomial", "The rate times (1 − k / total_iters)^power.",
                                        {integer("total_iters", 0, "Where it ends; 0: with the run.").at_least(0),
                                         real("power", 1.0, "1: a straight line.").at_least(0), per("step")})};
const RegisterSchema kOneCycle{
    "schedule", schema("one_cycle", "Up to the rate, then down to almost nothing, once, by steps.",
                       {real("warmup", 0.3, "Share of the run until the peak.").at_least(0).at_most(1),
                        real("div_factor", 25.0, "Peak over first rate.").above(0),
                        real("final_div_factor", 1e4, "First over last rate.").above(0),
                        text("anneal", "cos", "How it rises and falls.").one_of({"cos", "linear"}),
                        boolean("three_phase", false, "Fall as slowly as it rose, then to almost nothing."),
                        boolean("cycle_momentum", true,
                                "Momentum (Adam: beta1) runs against the rate, where the optimizer has it."),
                        real("base_momentum", 0.85, "Momentum at the peak.").at_least(0).below(1),
                        real("max_momentum", 0.95, "Momentum at both ends.").at_least(0).below(1)})};
const RegisterSchema kPlateau{
    "schedule",
    schema("reduce_on_plateau", "Times factor when a metric of the evaluation stops improving.",
           {text("metric", "loss", "What should fall (loss) or rise (accuracy).").one_of({"loss", "accuracy"}),
            real("factor", 0.1, "Factor of the rate.").above(0).below(1),
            integer("patience", 10, "Evaluations without improvement that are let pass.").at_least(0),
            real("threshold", 1e-4, "Smallest change that counts.").at_least(0),
            text("threshold_mode", "rel", "Relative to the best value, or absolute.").one_of({"rel", "abs"}),
            integer("cooldown", 0, "Evaluations to wait after a reduction.").at_least(0),
            real("min_lr", 0.0, "Lowest rate.").at_least(0),
            real("eps", 1e-8, "Smaller reductions are left out.").at_least(0)})};

std::int64_t warmup_steps(const Attributes& values, const ScheduleContext& context) {
  const std::int64_t steps = values.integer("warmup_steps");
  const double epochs = values.real("warmup_epochs");
  if (steps > 0 && epochs > 0) {
    throw UsageError("schedule.warmup_steps {} and schedule.warmup_epochs {} exclude each other; keep one", steps,
                     epochs);
  }
  return steps > 0 ? steps : std::llround(epochs * static_cast<double>(context.steps_per_epoch));
}

ScheduleShape multi_step_shape(const Attributes& values) {
  MultiStepShape shape{.milestones = values.integers("milestones"), .gamma = values.real("gamma")};
  std::sort(shape.milestones.begin(), shape.milestones.end());
  return shape;
}

ScheduleShape cosine_shape(const Attributes& values, std::int64_t length) {
  const std::int64_t t_max = values.integer("t_max");
  const std::int64_t t_0 = values.integer("t_0");
  if (t_max > 0 && t_0 > 0) {
    throw UsageError("schedule.t_max {} and schedule.t_0 {} exclude each other; t_0 is for restarts", t_max, t_0);
  }
  CosineShape shape{.period = t_max > 0 ? t_max : length, .t_mult = 0, .eta_min = values.real("eta_min")};
  if (t_0 > 0) {
    shape.period = t_0;
    shape.t_mult = values.integer("t_mult");
  }
  return shape;
}

ScheduleShape one_cycle_shape(const Attributes& values, std::int64_t length, bool has_momentum) {
  const double base = values.real("base_momentum");
  const double most = values.real("max_momentum");
  if (base > most) throw UsageError("schedule.base_momentum {} is above schedule.max_momentum {}", base, most);
  return OneCycleShape{.total = length,
                       .rising = values.real("warmup"),
                       .div_factor = values.real("div_factor"),
                       .final_div_factor = values.real("final_div_factor"),
                       .cosine = values.text("anneal") == "cos",
                       .three_phase = values.flag("three_phase"),
                       .base_momentum = base,
                       .max_momentum = most,
                       .cycle_momentum = has_momentum && values.flag("cycle_momentum")};
}

ScheduleShape plateau_shape(const Attributes& values) {
  return PlateauShape{.maximize = values.text("metric") == "accuracy",
                      .factor = values.real("factor"),
                      .patience = values.integer("patience"),
                      .threshold = values.real("threshold"),
                      .relative = values.text("threshold_mode") == "rel",
                      .cooldown = values.integer("cooldown"),
                      .min_lr = values.real("min_lr"),
                      .eps = values.real("eps")};
}

/// `length`: what is left of the run after warm-up, in the schedule's unit, at least 1.
ScheduleShape shape_of(std::string_view name, const Attributes& values, std::int64_t length, bool has_momentum) {
  if (name == "step") return StepShape{values.integer("step_size"), values.real("gamma")};
  if (name == "multi_step") return multi_step_shape(values);
  if (name == "exponential") return ExponentialShape{values.real("gamma")};
  if (name == "cosine") return cosine_shape(values, length);
  if (name == "polynomial") {
    const std::int64_t total = values.integer("total_iters");
    return PolynomialShape{total > 0 ? total : length, values.real("power")};
  }
  if (name == "one_cycle") return one_cycle_shape(values, length, has_momentum);
  if (name == "reduce_on_plateau") return plateau_shape(values);
  ATHANOR_CHECK(name == "constant", "schedule '{}' has a schema but no shape", name);
  return ConstantShape{};
}

}  // namespace

Schedule make_schedule(std::string_view name, const Attributes& attributes, const ScheduleContext& context) {
  ATHANOR_CHECK(context.steps_per_epoch > 0 && context.total_steps > 0, "a run without steps");
  const Attributes values = complete("schedule", name, attributes);
  const AttributeValue* unit = values.find("per");
  const bool per_epoch = unit != nullptr && std::get<std::string>(*unit) == "epoch";
  const std::int64_t warmup = warmup_steps(values, context);
  const std::int64_t left = std::max<std::int64_t>(context.total_steps - warmup, 1);
  const std::int64_t length = per_epoch ? (left + context.steps_per_epoch - 1) / context.steps_per_epoch : left;
  std::string metric = name == "reduce_on_plateau" ? values.text("metric") : "";
  return Schedule(context, shape_of(name, values, length, context.momentum.has_value()), per_epoch, warmup,
                  values.real("warmup_factor"), std::move(metric));
}

}  // namespace athanor
