// One block: the block sums meet in the tree of kernels/reduce.h, then one thread decides.
#include "kernels/cuda/guard.h"

#include "kernels/cuda/thread_model.h"

namespace athanor::kernels::cuda {
namespace {

constexpr int kThreads = 1024;
/// Block sums that are added at once; a power of two, so that each portion is a whole subtree.
constexpr std::int64_t kPortion = 2048;
constexpr std::int64_t kMostPortions = 2048;

constexpr float kLeastLossScale = 1.0f, kMostLossScale = 16777216.0f;
/// Good steps in a row after which the loss scale doubles.
constexpr std::int32_t kGoodSteps = 2000;

/// The tree of kernels/reduce.h over `count` numbers in shared memory, which it uses up: where the left part is always
/// the largest power of two, neighbours at distance 1 meet first, then 2, 4, … All threads call this.
ATHANOR_DEVICE double tree_of(double* sums, std::int64_t count) {
  __syncthreads();
  for (std::int64_t distance = 1; distance < count; distance *= 2) {
    for (std::int64_t i = static_cast<std::int64_t>(threadIdx.x) * 2 * distance; i + distance < count;
         i += static_cast<std::int64_t>(blockDim.x) * 2 * distance) {
      sums[i] += sums[i + distance];
    }
    __syncthreads();
  }
  return count == 0 ? 0.0 : sums[0];
}

ATHANOR_DEVICE double sum_of_blocks(const double* block_sums, std::int64_t count) {
  ATHANOR_SHARED double portion[kPortion];
  ATHANOR_SHARED double portion_sums[kMostPortions];
  const std::int64_t portions = (count + kPortion - 1) / kPortion;
  for (std::int64_t p = 0; p < portions; ++p) {
    const std::int64_t begin = p * kPortion, left = count - begin < kPortion ? count - begin : kPortion;
    for (std::int64_t i = threadIdx.x; i < left; i += blockDim.x) portion[i] = block_sums[begin + i];
    const double sum = tree_of(portion, left);
    if (threadIdx.x == 0) portion_sums[p] = sum;
    __syncthreads();
  }
  return tree_of(portion_sums, portions);
}

ATHANOR_DEVICE bool is_finite(double value) {
  return value - value == 0.0;
}

/// Halves after a bad step, doubles after many good ones.
ATHANOR_DEVICE void move_loss_scale(StepMemory& memory, bool finite) {
  if (!finite) {
    memory.good_steps = 0;
    memory.loss_scale = memory.loss_scale * 0.5f < kLeastLossScale ? kLeastLossScale : memory.loss_scale * 0.5f;
  } else if ((memory.good_steps += 1) >= static_cast<float>(kGoodSteps)) {
    memory.good_steps = 0;
    memory.loss_scale = memory.loss_scale * 2.0f > kMostLossScale ? kMostLossScale : memory.loss_scale * 2.0f;
  }
}

ATHANOR_DEVICE void decide(const Guard& args, double squares, bool statistics_are_finite) {
  StepMemory memory = *args.memory;
  const StepControl control = *args.control;
  if (control.first_update != 0) memory.updates = control.first_update - 1;
  const double scale = static_cast<double>(memory.loss_scale);
  StepOutcome outcome;
  outcome.loss = static_cast<double>(*args.loss) / args.shards;
  if (args.correct != nullptr) {
    outcome.correct = static_cast<double>(args.correct[0]);
    outcome.correct_top5 = static_cast<double>(args.correct[1]);
  }
  outcome.grad_norm = sqrt(squares) / scale;
  outcome.loss_scale = scale;
  const bool finite = is_finite(outcome.loss) && is_finite(squares) && statistics_are_finite;
  outcome.finite = finite ? 1 : 0;

  const double clip = clip_factor_of(outcome.grad_norm, args.optimizer.clip_norm);
  const bool adam = is_adam(args.optimizer.rule);
  const double momentum = control.has_momentum != 0 ? control.momentum
                          : adam                    ? args.optimizer.beta1
                                                    : args.optimizer.momentum;
  StepScalars scalars = step_scalars_of(args.optimizer, memory.updates + 1, control.lr, momentum, clip / scale);
  const bool overflowed = !finite && args.scales_loss && is_finite(outcome.loss) && statistics_are_finite &&
                          memory.loss_scale > kLeastLossScale;
  outcome.overflowed = overflowed ? 1 : 0;
  if (!finite && !overflowed && args.stops_on_nonfinite) memory.halted = 1;
  const bool skip = !finite || memory.halted != 0;
  scalars.skip = skip ? 1 : 0;
  if (!skip) ++memory.updates;
  if (args.scales_loss && memory.halted == 0) move_loss_scale(memory, finite);
  outcome.updates = memory.updates;
  *args.memory = memory;
  *args.scalars = scalars;
  *args.outcome = outcome;
  __threadfence_system();
}

ATHANOR_KERNEL __launch_bounds__(kThreads) guard(Guard args) {
  ATHANOR_SHARED int bad_warps[kThreads / 32];
  float differences = 0;  // stays 0 while all are finite, else becomes NaN
  for (std::int64_t i = threadIdx.x; i < args.statistic_count; i += blockDim.x) {
    differences += args.statistics[i] - args.statistics[i];
  }
  const int is_bad = __any_sync(0xffffffffu, differences == 0.0f ? 0 : 1);
  if (threadIdx.x % 32 == 0) bad_warps[threadIdx.x / 32] = is_bad;
  const double squares = sum_of_blocks(args.block_sums, args.blocks);
  if (threadIdx.x != 0) return;
  int bad = 0;
  for (int warp = 0; warp < kThreads / 32; ++warp) bad |= bad_warps[warp];
  decide(args, squares, bad == 0);
}

}  // namespace

void launch(const Guard& args, LaunchStream stream) {
  launch_kernel(guard, 1, kThreads, 0, stream, args);
}

}  // namespace athanor::kernels::cuda
