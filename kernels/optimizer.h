// One optimizer update as a single pass over a range of the flat parameter arena: weights, gradients, state and
// averaged weights are each read and written once. No threads inside: the caller splits ranges, and an element's bits
// depend neither on where they are split nor on the instruction set (no fused multiply-add, see cmake/Kernels.cmake).
#pragma once

#include <cstdint>

#include "kernels/isa.h"
#include "kernels/optimizer_math.h"

namespace athanor::kernels {

/// A variant is a rule of its own, so that the pass branches on nothing. Slots stand in the order of optimizer_math.h.
enum class OptimizerRule {
  sgd,
  sgd_momentum,
  sgd_nesterov,
  adagrad,
  rmsprop,
  rmsprop_momentum,
  rmsprop_centered,
  rmsprop_centered_momentum,
  adam,
  adam_amsgrad
};
inline constexpr int kOptimizerRules = 10;
inline constexpr int kMaxOptimizerSlots = 3;

/// Number of state slots of a rule, 0 to 3.
int slot_count(OptimizerRule rule);

/// fp32 arenas with equal offsets. Slots that the rule lacks are not looked at; `ema` is null without averaging.
struct OptimizerArenas {
  float* weights = nullptr;
  const float* gradients = nullptr;
  float* slots[kMaxOptimizerSlots] = {};
  float* ema = nullptr;
  /// Offset of the first element that `slots` and `ema` hold: a rank that keeps only its part of the state sets it.
  std::int64_t state_origin = 0;
};

/// Elements [begin, end) of the arenas, all with the same settings.
struct OptimizerRange {
  OptimizerArenas arenas;
  std::int64_t begin = 0;
  std::int64_t end = 0;
  float lr_scale = 1;
  float l2_decay = 0;
  float decoupled_decay = 0;
};

using OptimizerKernel = void (*)(const OptimizerRange&, const StepScalars&);

/// The pass for a rule, with or without averaged weights; `isa` must be one that the processor has.
OptimizerKernel optimizer_kernel(OptimizerRule rule, bool with_ema, Isa isa = active_isa());

/// Looks up the kernel and runs it; averages the weights where `arenas.ema` is set.
void update(OptimizerRule rule, const OptimizerRange& range, const StepScalars& step);

// The table of one instruction set, filled by kernels/cpu/optimizer.cpp.
namespace baseline {
OptimizerKernel find_optimizer_kernel(OptimizerRule rule, bool with_ema);
}
namespace avx2 {
OptimizerKernel find_optimizer_kernel(OptimizerRule rule, bool with_ema);
}
namespace avx512 {
OptimizerKernel find_optimizer_kernel(OptimizerRule rule, bool with_ema);
}

}  // namespace athanor::kernels
