// What one update needs besides the gradient, from the optimizer's hyperparameters and the number of earlier updates:
// on the host (optim/optimizer.h) or in the guard step of a GPU (kernels/cuda/guard.h). In double, rounded once.
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/host_device.h"
#include "kernels/optimizer.h"

namespace athanor::kernels {

/// The numbers of OptimizerSpec, as plain data.
struct OptimizerSettings {
  OptimizerRule rule = OptimizerRule::sgd;
  double momentum = 0;   ///< SGD, RMSprop
  double dampening = 0;  ///< SGD
  double beta1 = 0;      ///< Adam
  double beta2 = 0;      ///< Adam
  double alpha = 0;      ///< RMSprop
  double eps = 0;
  double lr_decay = 0;      ///< Adagrad
  double clip_norm = 0;     ///< 0: none
  double clip_value = 0;    ///< 0: none
  double ema_decay = 0;     ///< 0: no averaged weights
  bool ema_warmup = false;  ///< min(decay, (1 + t) / (10 + t))
};

ATHANOR_HOST_DEVICE inline bool is_adam(OptimizerRule rule) {
  return rule == OptimizerRule::adam || rule == OptimizerRule::adam_amsgrad;
}

/// Decay of the average at the update that follows `updates` earlier ones.
ATHANOR_HOST_DEVICE inline double ema_decay_at(double decay, bool warmup, std::int64_t updates) {
  const double t = static_cast<double>(updates), rising = (1 + t) / (10 + t);
  return warmup && rising < decay ? rising : decay;
}

/// Factor for a gradient of L2 norm `norm` so that it does not exceed `clip_norm` (0: no bound), as
/// torch.nn.utils.clip_grad_norm_ computes it; not-a-number stays not-a-number.
ATHANOR_HOST_DEVICE inline double clip_factor_of(double norm, double clip_norm) {
  if (clip_norm == 0) return 1;
  const double factor = clip_norm / (norm + 1e-6);
  return factor >= 1 ? 1 : factor;
}

/// The scalars of update `step`, which counts from 1. `momentum`: this step's (β1 of Adam).
ATHANOR_HOST_DEVICE inline StepScalars step_scalars_of(const OptimizerSettings& c, std::int64_t step, double lr,
                                                       double momentum, double grad_scale) {
  const double t = static_cast<double>(step);
  StepScalars scalars;
  scalars.grad_scale = static_cast<float>(grad_scale);
  if (c.clip_value > 0) scalars.clip_value = static_cast<float>(c.clip_value);
  scalars.lr = static_cast<float>(lr);
  scalars.eps = static_cast<float>(c.eps);
  if (is_adam(c.rule)) {
    scalars.first_rest = static_cast<float>(1 - momentum);
    scalars.second_keep = static_cast<float>(c.beta2);
    scalars.second_rest = static_cast<float>(1 - c.beta2);
    scalars.lr_correction = static_cast<float>(1 / (1 - pow(momentum, t)));
    scalars.root_scale = static_cast<float>(1 / sqrt(1 - pow(c.beta2, t)));
  } else {
    scalars.momentum = static_cast<float>(momentum);
    scalars.fresh = step == 1 ? 1.0f : static_cast<float>(1 - c.dampening);
    scalars.second_keep = static_cast<float>(c.alpha);
    scalars.second_rest = static_cast<float>(1 - c.alpha);
    scalars.lr_correction = static_cast<float>(1 / (1 + (t - 1) * c.lr_decay));
  }
  scalars.ema_rest = static_cast<float>(1 - ema_decay_at(c.ema_decay, c.ema_warmup, step - 1));
  return scalars;
}

}  // namespace athanor::kernels
