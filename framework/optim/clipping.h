// Clipping by the norm of the whole gradient. Clipping by value is per element, inside the optimizer's pass.
#pragma once

#include "kernels/step_math.h"

namespace athanor {

/// Factor for a gradient of L2 norm `norm` so that it does not exceed `clip_norm` (0: no bound), as
/// torch.nn.utils.clip_grad_norm_ computes it; not-a-number stays not-a-number.
inline double clip_factor(double norm, double clip_norm) {
  return kernels::clip_factor_of(norm, clip_norm);
}

}  // namespace athanor
