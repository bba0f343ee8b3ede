// The fused optimizer pass: weights, gradients, state and averages are each read and written once, 16 bytes a thread
// and turn. Compiled without fused multiply-add, so that its bits are the CPU's.
#include "kernels/cuda/optimizer.h"

#include "kernels/cuda/thread_model.h"

namespace athanor::kernels::cuda {
namespace {

constexpr int kThreads = 256, kPack = 4;
constexpr std::int64_t kBlock = 4096;

/// The first segment that ends behind element `at`; segment_count where there is none.
ATHANOR_DEVICE std::int32_t segment_behind(const OptimizerPass& pass, std::int64_t at) {
  std::int32_t low = 0, high = pass.segment_count;
  while (low < high) {
    const std::int32_t middle = low + (high - low) / 2;
    if (pass.segments[middle].end > at) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return low;
}

template <typename Rule, bool kEma>
struct Element {
  float weight, gradient, average;
  SlotValues slots;

  ATHANOR_DEVICE void update(const StepScalars& step, const SegmentScalars& segment) {
    const float effective = effective_gradient(gradient, weight, step, segment);
    weight = moved_weight(weight, Rule::direction(effective, slots, step), segment);
    if constexpr (kEma) average = moved_average(average, weight, step);
  }
};

template <typename T>
ATHANOR_DEVICE void store_cast(void* cast, std::int64_t at, const Pack<float, kPack>& weights) {
  Pack<T, kPack> pack;
  for (int k = 0; k < kPack; ++k) pack[k] = store_as<T>(weights[k]);
  store_pack(static_cast<T*>(cast) + at, pack);
}

template <typename Rule, bool kEma>
ATHANOR_DEVICE void update_pack(const OptimizerPass& pass, std::int64_t i, const StepScalars& step,
                                const SegmentScalars& segment) {
  const OptimizerArenas& arenas = pass.arenas;
  const std::int64_t j = i - arenas.state_origin;
  auto weights = load_pack<kPack>(arenas.weights + i);
  const auto gradients = load_pack<kPack>(arenas.gradients + i);
  Pack<float, kPack> a{}, b{}, c{}, averages{};
  if constexpr (Rule::kSlots > 0) a = load_pack<kPack>(arenas.slots[0] + j);
  if constexpr (Rule::kSlots > 1) b = load_pack<kPack>(arenas.slots[1] + j);
  if constexpr (Rule::kSlots > 2) c = load_pack<kPack>(arenas.slots[2] + j);
  if constexpr (kEma) averages = load_pack<kPack>(arenas.ema + j);
#pragma unroll
  for (int k = 0; k < kPack; ++k) {
    Element<Rule, kEma> element{weights[k], gradients[k], averages[k], {a[k], b[k], c[k]}};
    element.update(step, segment);
    weights[k] = element.weight;
    a[k] = element.slots.a;
    b[k] = element.slots.b;
    c[k] = element.slots.c;
    averages[k] = element.average;
  }
  store_pack(arenas.weights + i, weights);
  if constexpr (Rule::kSlots > 0) store_pack(arenas.slots[0] + j, a);
  if constexpr (Rule::kSlots > 1) store_pack(arenas.slots[1] + j, b);
  if constexpr (Rule::kSlots > 2) store_pack(arenas.slots[2] + j, c);
  if constexpr (kEma) store_pack(arenas.ema + j, averages);
  if (pass.cast == nullptr) return;
  if (pass.cast_to == DType::bf16) {
    store_cast<BFloat16>(pass.cast, i, weights);
  } else {
    store_cast<Float16>(pass.cast, i, weights);
  }
}

template <typename Rule, bool kEma>
ATHANOR_DEVICE void update_one(const OptimizerPass& pass, std::int64_t i, const StepScalars& step,
                               const SegmentScalars& segment) {
  const OptimizerArenas& arenas = pass.arenas;
  const std::int64_t j = i - arenas.state_origin;
  Element<Rule, kEma> element{arenas.weights[i], arenas.gradients[i], 0, {}};
  if constexpr (Rule::kSlots > 0) element.slots.a = arenas.slots[0][j];
  if constexpr (Rule::kSlots > 1) element.slots.b = arenas.slots[1][j];
  if constexpr (Rule::kSlots > 2) element.slots.c = arenas.slots[2][j];
  if constexpr (kEma) element.average = arenas.ema[j];
  element.update(step, segment);
  arenas.weights[i] = element.weight;
  if constexpr (Rule::kSlots > 0) arenas.slots[0][j] = element.slots.a;
  if constexpr (Rule::kSlots > 1) arenas.slots[1][j] = element.slots.b;
  if constexpr (Rule::kSlots > 2) arenas.slots[2][j] = element.slots.c;
  if constexpr (kEma) arenas.ema[j] = element.average;
  if (pass.cast == nullptr) return;
  if (pass.cast_to == DType::bf16) {
    static_cast<BFloat16*>(pass.cast)[i] = store_as<BFloat16>(element.weight);
  } else {
    static_cast<Float16*>(pass.cast)[i] = store_as<Float16>(element.weight);
  }
}

/// A block takes kBlock elements of the arena, wherever segments begin and end.
template <typename Rule, bool kEma>
ATHANOR_KERNEL __launch_bounds__(kThreads) update(OptimizerPass pass, bool packs) {
  const StepScalars step = *pass.scalars;
  if (step.skip != 0) return;
  const std::int64_t begin = static_cast<std::int64_t>(blockIdx.x) * kBlock;
  std::int32_t index = segment_behind(pass, begin);
  for (int turn = 0; turn < kBlock / (kThreads * kPack); ++turn) {
    const std::int64_t first = begin + (turn * kThreads + static_cast<std::int64_t>(threadIdx.x)) * kPack;
    for (std::int64_t i = first; i < first + kPack;) {
      while (index < pass.segment_count && pass.segments[index].end <= i) ++index;
      if (index == pass.segment_count) return;
      const OptimizerSegment& range = pass.segments[index];
      if (i < range.begin) {
        i = range.begin;
        continue;
      }
      const SegmentScalars segment = segment_scalars(step, range.lr_scale, range.l2_decay, range.decoupled_decay);
      if (packs && i == first && i + kPack <= range.end) {
        update_pack<Rule, kEma>(pass, i, step, segment);
        break;
      }
      update_one<Rule, kEma>(pass, i++, step, segment);
    }
  }
}

ATHANOR_KERNEL __launch_bounds__(kThreads) update_statistics(UpdateStatistics args) {
  if (args.scalars->skip != 0) return;
  const StatisticRange range = args.ranges[blockIdx.x];
  const float keep = 1.0f - range.momentum, scale = 1.0f / static_cast<float>(args.shards);
  const float ema_rest = args.scalars->ema_rest;
  for (std::int64_t k = threadIdx.x; k < range.count; k += blockDim.x) {
    const std::int64_t i = range.offset + k;
    const float value = keep * args.state[i] + range.momentum * (args.contributions[i] * scale);
    args.state[i] = value;
    if (args.average != nullptr) args.average[i] += ema_rest * (value - args.average[i]);
  }
}

bool allows_packs(const OptimizerPass& pass) {
  const OptimizerArenas& arenas = pass.arenas;
  bool fits = arenas.state_origin % kPack == 0 && is_aligned(arenas.weights, 16) && is_aligned(arenas.gradients, 16) &&
              is_aligned(arenas.ema, 16) && is_aligned(pass.cast, 8);
  for (const float* slot : arenas.slots) fits = fits && is_aligned(slot, 16);
  return fits;
}

template <typename Rule>
void launch_rule(const OptimizerPass& pass, LaunchStream stream) {
  const auto kernel = pass.arenas.ema != nullptr ? update<Rule, true> : update<Rule, false>;
  launch_independent(kernel, static_cast<unsigned>((pass.elements + kBlock - 1) / kBlock), kThreads, 0, stream, pass,
                     allows_packs(pass));
}

}  // namespace

void launch(const OptimizerPass& pass, LaunchStream stream) {
  switch (pass.rule) {
    case OptimizerRule::sgd:
      return launch_rule<Sgd>(pass, stream);
    case OptimizerRule::sgd_momentum:
      return launch_rule<SgdMomentum<false>>(pass, stream);
    case OptimizerRule::sgd_nesterov:
      return launch_rule<SgdMomentum<true>>(pass, stream);
    case OptimizerRule::adagrad:
      return launch_rule<Adagrad>(pass, stream);
    case OptimizerRule::rmsprop:
      return launch_rule<RmsProp<false, false>>(pass, stream);
    case OptimizerRule::rmsprop_momentum:
      return launch_rule<RmsProp<true, false>>(pass, stream);
    case OptimizerRule::rmsprop_centered:
      return launch_rule<RmsProp<false, true>>(pass, stream);
    case OptimizerRule::rmsprop_centered_momentum:
      return launch_rule<RmsProp<true, true>>(pass, stream);
    case OptimizerRule::adam:
      return launch_rule<Adam<false>>(pass, stream);
    case OptimizerRule::adam_amsgrad:
      return launch_rule<Adam<true>>(pass, stream);
  }
}

void launch(const UpdateStatistics& args, LaunchStream stream) {
  launch_independent(update_statistics, static_cast<unsigned>(args.range_count), kThreads, 0, stream, args);
}

}  // namespace athanor::kernels::cuda
