// The arithmetic of every optimizer for one element, shared by the CPU and CUDA passes. The formulas are those of
// torch.optim (its documentation, "Algorithms"). A rule maps a gradient to a direction u and updates its state; the
// weight then moves by the same line for all rules: w = keep · w − step_size · u.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

#include "kernels/host_device.h"

namespace athanor::kernels {

/// What changes from step to step, computed on the host in double (optim/optimizer.h, step_scalars) and rounded once.
/// Plain data: a CUDA back end may keep it in device memory and let the guard step edit grad_scale and skip.
struct StepScalars {
  float grad_scale = 1;                                       ///< 1 / shards · clip factor
  float clip_value = std::numeric_limits<float>::infinity();  ///< bound of a scaled gradient's magnitude
  float lr = 0;                                               ///< learning rate, before a segment's lr_scale
  float lr_correction = 1;  ///< Adam: 1 / (1 − β1ᵗ); Adagrad: 1 / (1 + (t − 1) · lr_decay)
  float momentum = 0;       ///< SGD, RMSprop
  float fresh = 1;          ///< SGD: weight of the gradient in the buffer, 1 at the first step, then 1 − dampening
  float first_rest = 0;     ///< Adam: 1 − β1
  float second_keep = 0;    ///< Adam: β2; RMSprop: α
  float second_rest = 0;    ///< Adam: 1 − β2; RMSprop: 1 − α
  float root_scale = 1;     ///< Adam: 1 / √(1 − β2ᵗ)
  float eps = 0;
  float ema_rest = 0;     ///< 1 − decay of the averaged weights
  std::int32_t skip = 0;  ///< nonzero: the pass writes nothing (train.on_nonfinite: skip)
};

/// What a step means for one segment of the arena.
struct SegmentScalars {
  float step_size = 0;  ///< lr · lr_scale · lr_correction
  float l2 = 0;         ///< weight decay added to the gradient
  float keep = 1;       ///< 1 − lr · lr_scale · decoupled weight decay
};

ATHANOR_HOST_DEVICE inline SegmentScalars segment_scalars(const StepScalars& step, float lr_scale, float l2_decay,
                                                          float decoupled_decay) {
  const float lr = step.lr * lr_scale;
  return {lr * step.lr_correction, l2_decay, 1.0f - lr * decoupled_decay};
}

/// Scales, clips by value (not-a-number stays so), adds coupled weight decay.
ATHANOR_HOST_DEVICE inline float effective_gradient(float gradient, float weight, const StepScalars& step,
                                                    const SegmentScalars& segment) {
  float g = gradient * step.grad_scale;
  g = g > step.clip_value ? step.clip_value : g;
  g = g < -step.clip_value ? -step.clip_value : g;
  return g + segment.l2 * weight;
}

/// One element of up to three state slots, in the order that each rule states.
struct SlotValues {
  float a = 0;
  float b = 0;
  float c = 0;
};

struct Sgd {
  static constexpr int kSlots = 0;
  ATHANOR_HOST_DEVICE static float direction(float g, SlotValues&, const StepScalars&) { return g; }
};

/// Slots: momentum, zero before the first step (so that `fresh` = 1 makes it the gradient).
template <bool kNesterov>
struct SgdMomentum {
  static constexpr int kSlots = 1;
  ATHANOR_HOST_DEVICE static float direction(float g, SlotValues& slots, const StepScalars& step) {
    slots.a = step.momentum * slots.a + step.fresh * g;
    return kNesterov ? g + step.momentum * slots.a : slots.a;
  }
};

/// Slots: sum of squares.
struct Adagrad {
  static constexpr int kSlots = 1;
  ATHANOR_HOST_DEVICE static float direction(float g, SlotValues& slots, const StepScalars& step) {
    slots.a += g * g;
    return g / (sqrtf(slots.a) + step.eps);
  }
};

/// Slots: mean square; then, where used, momentum, mean gradient. Rounding can make the variance slightly negative:
/// it is held at 0, where torch would give not-a-number.
template <bool kMomentum, bool kCentered>
struct RmsProp {
  static constexpr int kSlots = 1 + (kMomentum ? 1 : 0) + (kCentered ? 1 : 0);
  ATHANOR_HOST_DEVICE static float direction(float g, SlotValues& slots, const StepScalars& step) {
    slots.a = step.second_keep * slots.a + step.second_rest * (g * g);
    float variance = slots.a;
    if constexpr (kCentered) {
      const float before = kMomentum ? slots.c : slots.b;
      const float mean = before + step.second_rest * (g - before);
      (kMomentum ? slots.c : slots.b) = mean;
      variance -= mean * mean;
      variance = variance < 0.0f ? 0.0f : variance;
    }
    const float u = g / (sqrtf(variance) + step.eps);
    if constexpr (!kMomentum) return u;
    slots.b = step.momentum * slots.b + u;
    return slots.b;
  }
};

/// Slots: first moment, second moment; with AMSGrad, the largest second moment so far.
template <bool kAmsgrad>
struct Adam {
  static constexpr int kSlots = kAmsgrad ? 3 : 2;
  ATHANOR_HOST_DEVICE static float direction(float g, SlotValues& slots, const StepScalars& step) {
    slots.a += step.first_rest * (g - slots.a);
    slots.b = step.second_keep * slots.b + step.second_rest * (g * g);
    if constexpr (kAmsgrad) slots.c = slots.c > slots.b ? slots.c : slots.b;
    const float second = kAmsgrad ? slots.c : slots.b;
    return slots.a / (sqrtf(second) * step.root_scale + step.eps);
  }
};

ATHANOR_HOST_DEVICE inline float moved_weight(float weight, float direction, const SegmentScalars& segment) {
  return segment.keep * weight - segment.step_size * direction;
}

/// ema = decay · ema + (1 − decay) · w, written so that a decay near 1 loses no digits.
ATHANOR_HOST_DEVICE inline float moved_average(float average, float weight, const StepScalars& step) {
  return average + step.ema_rest * (weight - average);
}

}  // namespace athanor::kernels
