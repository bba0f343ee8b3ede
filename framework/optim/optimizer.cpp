#include "optim/optimizer.h"

#include <fmt/ranges.h>

#include "config/registry.h"

namespace athanor {
namespace {

using kernels::OptimizerRule;

void set_sgd(OptimizerSpec& spec, const Attributes& values) {
  spec.momentum = values.real("momentum");
  spec.dampening = values.real("dampening");
  const bool nesterov = values.flag("nesterov");
  if (nesterov && (spec.momentum == 0 || spec.dampening != 0)) {
    throw UsageError("optimizer.nesterov needs momentum above 0 and dampening 0, not momentum {} and dampening {}",
                     spec.momentum, spec.dampening);
  }
  if (spec.momentum == 0) return;
  spec.rule = nesterov ? OptimizerRule::sgd_nesterov : OptimizerRule::sgd_momentum;
  spec.slots = {{.name = "momentum_buffer"}};
}

void set_adagrad(OptimizerSpec& spec, const Attributes& values) {
  spec.rule = OptimizerRule::adagrad;
  spec.lr_decay = values.real("lr_decay");
  spec.eps = values.real("eps");
  spec.slots = {{.name = "sum", .initial = static_cast<float>(values.real("initial_accumulator"))}};
}

void set_rmsprop(OptimizerSpec& spec, const Attributes& values) {
  spec.momentum = values.real("momentum");
  spec.alpha = values.real("alpha");
  spec.eps = values.real("eps");
  const bool centered = values.flag("centered");
  spec.slots = {{.name = "square_avg"}};
  if (spec.momentum > 0) spec.slots.push_back({.name = "momentum_buffer"});
  if (centered) spec.slots.push_back({.name = "grad_avg"});
  if (spec.momentum > 0) {
    spec.rule = centered ? OptimizerRule::rmsprop_centered_momentum : OptimizerRule::rmsprop_momentum;
  } else {
    spec.rule = centered ? OptimizerRule::rmsprop_centered : OptimizerRule::rmsprop;
  }
}

void set_adam(OptimizerSpec& spec, const Attributes& values) {
  const auto& betas = values.get<std::vector<double>>("betas");
  if (betas.size() != 2) throw UsageError("optimizer.betas wants two numbers, not {}", betas.size());
  spec.beta1 = betas[0];
  spec.beta2 = betas[1];
  spec.eps = values.real("eps");
  spec.rule = OptimizerRule::adam;
  spec.slots = {{.name = "exp_avg"}, {.name = "exp_avg_sq"}};
  if (values.flag("amsgrad")) {
    spec.rule = OptimizerRule::adam_amsgrad;
    spec.slots.push_back({.name = "max_exp_avg_sq"});
  }
}

}  // namespace

OptimizerSpec make_optimizer(std::string_view name, const Attributes& attributes) {
  const Attributes values = complete("optimizer", name, attributes);
  OptimizerSpec spec;
  spec.name = name;
  spec.lr = values.real("lr");
  spec.weight_decay = values.real("weight_decay");
  spec.decoupled = name == "adamw" || values.flag("decoupled");
  spec.clip_norm = values.real("clip_norm");
  spec.clip_value = values.real("clip_value");
  spec.shard = values.flag("shard");
  if (name == "sgd") set_sgd(spec, values);
  if (name == "adagrad") set_adagrad(spec, values);
  if (name == "rmsprop") set_rmsprop(spec, values);
  if (name == "adam" || name == "adamw") set_adam(spec, values);
  ATHANOR_CHECK(static_cast<int>(spec.slots.size()) == kernels::slot_count(spec.rule), "slots of {}", name);
  return spec;
}

std::optional<double> cycled_momentum(const OptimizerSpec& spec) {
  if (kernels::is_adam(spec.rule)) return spec.beta1;
  if (spec.momentum > 0) return spec.momentum;
  return std::nullopt;
}

kernels::OptimizerSettings settings_of(const OptimizerSpec& spec) {
  return {.rule = spec.rule,
          .momentum = spec.momentum,
          .dampening = spec.dampening,
          .beta1 = spec.beta1,
          .beta2 = spec.beta2,
          .alpha = spec.alpha,
          .eps = spec.eps,
          .lr_decay = spec.lr_decay,
          .clip_norm = spec.clip_norm,
          .clip_value = spec.clip_value,
          .ema_decay = spec.ema.decay,
          .ema_warmup = spec.ema.warmup};
}

kernels::StepScalars step_scalars(const OptimizerSpec& spec, const StepInputs& inputs) {
  const double momentum = inputs.momentum.value_or(kernels::is_adam(spec.rule) ? spec.beta1 : spec.momentum);
  return kernels::step_scalars_of(settings_of(spec), inputs.step, inputs.lr, momentum, inputs.grad_scale);
}

}  // namespace athanor
