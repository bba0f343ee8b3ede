// The averaged weights (exponential moving average, Polyak 1990) that evaluation may use: how fast they follow. The
// averaging itself is fused into the optimizer's pass (kernels/optimizer.h).
#pragma once

#include <cstdint>

#include "config/schema.h"
#include "kernels/step_math.h"

namespace athanor {

struct EmaSpec {
  double decay = 0;     ///< 0: no averaged weights
  bool warmup = false;  ///< start with a short memory: min(decay, (1 + t) / (10 + t)), t the updates already made

  bool enabled() const { return decay > 0; }
};

/// Decay of the average at the update that follows `updates` earlier ones.
inline double ema_decay(const EmaSpec& ema, std::int64_t updates) {
  return kernels::ema_decay_at(ema.decay, ema.warmup, updates);
}

/// The recipe's section `ema`, for whoever registers the sections.
inline Schema ema_schema() {
  return {.name = "ema",
          .doc = "Averaged weights: ema = decay · ema + (1 − decay) · w after every update.",
          .fields = {real("decay", 0.0, "Weight of the past; 0 keeps no average, 0.999 is usual.").at_least(0).below(1),
                     boolean("warmup", false, "Use min(decay, (1 + t) / (10 + t)) at update t.")},
          .shorthand = "decay"};
}
inline EmaSpec make_ema(const Attributes& attributes) {
  return {attributes.real("decay"), attributes.flag("warmup")};
}

}  // namespace athanor
