// The end of an update: norms of the gradients and new weights, bucket by bucket as their sums come back, or all at the
// end where the update must know the norm of the whole gradient.
#include <algorithm>
#include <chrono>
#include <cmath>

#include "backend/cpu/cpu_executable.h"
#include "kernels/reduce.h"
#include "optim/clipping.h"
#include "optim/optimize_plan.h"

namespace athanor::cpu {
namespace {

using Clock = std::chrono::steady_clock;

/// Calls visit(ArenaRange) for pieces of `part` of which a second-level cache holds all: what is read again, its sums
/// and its squares, is read from there.
template <typename Visit>
void for_pieces(const ArenaRange& part, const Visit& visit) {
  constexpr std::int64_t kElements = std::int64_t{1} << 15;
  static_assert(kElements % kernels::kSumBlock == 0);
  for (std::int64_t begin = part.begin; begin < part.end; begin += kElements) {
    visit(ArenaRange{begin, std::min(begin + kElements, part.end)});
  }
}

}  // namespace

std::pair<std::size_t, std::size_t> slice_of_lane(std::size_t count, int lane, int lanes) {
  const auto block = static_cast<std::size_t>(kernels::kSumBlock);
  const std::size_t blocks = (count + block - 1) / block;
  const auto at = [&](int index) {
    return std::min(count, blocks * static_cast<std::size_t>(index) / static_cast<std::size_t>(lanes) * block);
  };
  return {at(lane), at(lane + 1)};
}

ArenaRange CpuExecutable::part_of(const Bucket& bucket, int lane) const {
  const auto [begin, end] = slice_of_lane(static_cast<std::size_t>(bucket.owned.elements()), lane, options_.lanes);
  return {bucket.owned.begin + static_cast<std::int64_t>(begin), bucket.owned.begin + static_cast<std::int64_t>(end)};
}

/// Loss and batch statistics come with the first bucket, so that nothing is updated where they are not finite. Of a
/// gradient that is not finite a lane sees the piece in hand only: what has been updated by then stays updated. The run
/// ends there (Plan::update_at_once).
void CpuExecutable::update_each_bucket(int lane, const StepInputs& inputs) {
  if (lane == 0) {
    wait_for_bucket(0, lane);
    judge_metrics();
    set_scalars(inputs, 0);
  }
  pool_.sync();
  for (const Bucket& bucket : buckets_) {
    wait_for_bucket(bucket.reduce, lane);
    for_pieces(part_of(bucket, lane), [&](const ArenaRange& piece) {
      measure(piece);
      update(bucket, piece);
    });
    hand_on(bucket);
  }
}

void CpuExecutable::update_after_all(int lane, const StepInputs& inputs) {
  for (const Bucket& bucket : buckets_) {
    wait_for_bucket(bucket.reduce, lane);
    for_pieces(part_of(bucket, lane), [&](const ArenaRange& piece) { measure(piece); });
  }
  pool_.sync();
  if (lane == 0) {
    judge_metrics();
    measure_norm(lane);
    set_scalars(inputs, step_result_.grad_norm);
  }
  pool_.sync();
  for (const Bucket& bucket : buckets_) {
    update(bucket, part_of(bucket, lane));
    hand_on(bucket);
  }
}

void CpuExecutable::judge_metrics() {
  const auto elements = [](std::size_t count) { return static_cast<std::int64_t>(count); };
  merge(merges_on_update_, {elements(main_.parameter_elements), elements(main_.output_elements)});
  step_result_.loss = static_cast<double>(loss_[0]) / main_.shards;
  step_result_.correct = static_cast<double>(correct_[0]);
  step_result_.correct_top5 = static_cast<double>(correct_[1]);
  // A variance may overflow while loss and gradient do not; it must not enter the running statistics either.
  const auto statistics = static_cast<std::int64_t>(main_.state_elements - main_.parameter_elements);
  if (!std::isfinite(step_result_.loss) ||
      !kernels::reduce_kernels().is_finite(result() + main_.parameter_elements, statistics, 1)) {
    is_finite_ = false;
  }
}

/// Sums of squares of the blocks of a piece, which begins with one.
void CpuExecutable::measure(const ArenaRange& piece) {
  merge(merges_on_update_, piece);
  double* const sums = block_sums_.data() + piece.begin / kernels::kSumBlock;
  const double squares = kernels::reduce_kernels().sum_of_squares(result() + piece.begin, piece.elements(), sums, 1);
  if (!std::isfinite(squares)) is_finite_ = false;
}

/// The norm of the whole gradient, from the block sums of all ranks.
void CpuExecutable::measure_norm(int lane) {
  if (options_.optimizer.shard) {
    reduction_->submit_union(block_sums_);
    const Clock::time_point start = Clock::now();
    reduction_->wait_all();
    if (lane == 0) exposed_s_ += std::chrono::duration<double>(Clock::now() - start).count();
  }
  const double squares = kernels::tree_sum(block_sums_.data(), static_cast<std::int64_t>(block_sums_.size()));
  step_result_.grad_norm = std::sqrt(squares);
  if (!std::isfinite(squares)) is_finite_ = false;
}

void CpuExecutable::set_scalars(const StepInputs& inputs, double grad_norm) {
  StepInputs scaled = inputs;
  scaled.grad_scale = clip_factor(grad_norm, options_.optimizer.clip_norm);
  scalars_ = step_scalars(options_.optimizer, scaled);
}

void CpuExecutable::update(const Bucket& bucket, const ArenaRange& part) {
  if (!is_finite_.load(std::memory_order_relaxed)) return;
  for (const OptimizeSegment& segment : bucket.update->segments) {
    const ArenaRange range{std::max(segment.range.begin, part.begin), std::min(segment.range.end, part.end)};
    if (range.begin < range.end) optimizer_(kernel_range(optimizer_arenas_, segment, range), scalars_);
  }
}

/// The last lane hands a bucket of a sharded update on. It does so also where nothing was updated: the others wait for
/// it.
void CpuExecutable::hand_on(const Bucket& bucket) {
  if (!options_.optimizer.shard) return;
  if (updated_[bucket.reduce].fetch_add(1, std::memory_order_acq_rel) + 1 == options_.lanes) {
    reduction_->submit_gather(store_.state(), bucket.reduce);
  }
}

void CpuExecutable::update_statistics() {
  float* state = store_.state();
  float* average = store_.average();
  for (const StateTensor& tensor : main_.state) {
    if (!tensor.is_statistic || tensor.momentum == 0) continue;
    const auto momentum = static_cast<float>(tensor.momentum);
    const float keep = 1.0f - momentum, scale = 1.0f / static_cast<float>(main_.shards);
    for (std::size_t i = tensor.offset; i < tensor.offset + tensor.elements; ++i) {
      state[i] = keep * state[i] + momentum * (result()[i] * scale);
      if (average != nullptr) average[i] += scalars_.ema_rest * (state[i] - average[i]);
    }
  }
}

}  // namespace athanor::cpu
