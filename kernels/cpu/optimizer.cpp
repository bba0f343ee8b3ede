// The fused optimizer pass, compiled once per instruction set.
#include "kernels/optimizer.h"

namespace athanor::kernels::ATHANOR_ISA {
namespace {

template <typename Rule, bool kEma>
void pass(const OptimizerRange& range, const StepScalars& step_now) {
  if (step_now.skip != 0) return;
  const StepScalars step = step_now;  // a copy cannot alias the arenas
  const SegmentScalars segment = segment_scalars(step, range.lr_scale, range.l2_decay, range.decoupled_decay);
  const std::int64_t count = range.end - range.begin;
  const std::int64_t state_begin = range.begin - range.arenas.state_origin;
  float* __restrict weights = range.arenas.weights + range.begin;
  const float* __restrict gradients = range.arenas.gradients + range.begin;
  float* __restrict slot_a = Rule::kSlots > 0 ? range.arenas.slots[0] + state_begin : nullptr;
  float* __restrict slot_b = Rule::kSlots > 1 ? range.arenas.slots[1] + state_begin : nullptr;
  float* __restrict slot_c = Rule::kSlots > 2 ? range.arenas.slots[2] + state_begin : nullptr;
  float* __restrict ema = kEma ? range.arenas.ema + state_begin : nullptr;
#pragma omp simd
  for (std::int64_t i = 0; i < count; ++i) {
    SlotValues slots;
    if constexpr (Rule::kSlots > 0) slots.a = slot_a[i];
    if constexpr (Rule::kSlots > 1) slots.b = slot_b[i];
    if constexpr (Rule::kSlots > 2) slots.c = slot_c[i];
    const float gradient = effective_gradient(gradients[i], weights[i], step, segment);
    const float weight = moved_weight(weights[i], Rule::direction(gradient, slots, step), segment);
    weights[i] = weight;
    if constexpr (Rule::kSlots > 0) slot_a[i] = slots.a;
    if constexpr (Rule::kSlots > 1) slot_b[i] = slots.b;
    if constexpr (Rule::kSlots > 2) slot_c[i] = slots.c;
    if constexpr (kEma) ema[i] = moved_average(ema[i], weight, step);
  }
}

template <bool kEma>
OptimizerKernel find(OptimizerRule rule) {
  switch (rule) {
    case OptimizerRule::sgd:
      return pass<Sgd, kEma>;
    case OptimizerRule::sgd_momentum:
      return pass<SgdMomentum<false>, kEma>;
    case OptimizerRule::sgd_nesterov:
      return pass<SgdMomentum<true>, kEma>;
    case OptimizerRule::adagrad:
      return pass<Adagrad, kEma>;
    case OptimizerRule::rmsprop:
      return pass<RmsProp<false, false>, kEma>;
    case OptimizerRule::rmsprop_momentum:
      return pass<RmsProp<true, false>, kEma>;
    case OptimizerRule::rmsprop_centered:
      return pass<RmsProp<false, true>, kEma>;
    case OptimizerRule::rmsprop_centered_momentum:
      return pass<RmsProp<true, true>, kEma>;
    case OptimizerRule::adam:
      return pass<Adam<false>, kEma>;
    case OptimizerRule::adam_amsgrad:
      return pass<Adam<true>, kEma>;
  }
  return nullptr;
}

}  // namespace

OptimizerKernel find_optimizer_kernel(OptimizerRule rule, bool with_ema) {
  return with_ema ? find<true>(rule) : find<false>(rule);
}

}  // namespace athanor::kernels::ATHANOR_ISA
