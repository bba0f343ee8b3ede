// One update. The last wave of shards hands each bucket over as soon as every lane has written it; the buckets' sums
// over ranks come back while backward still runs, and each lane updates its part of what has come back.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>

#include "backend/cpu/cpu_executable.h"
#include "base/error.h"
#include "kernels/elementwise.h"
#include "optim/averaging.h"
#include "optim/clipping.h"
#include "optim/optimize_plan.h"

namespace athanor::cpu {
namespace {

using Clock = std::chrono::steady_clock;

/// Elements [first, second) that a lane takes of `count`, cut at multiples of kSumBlock so that block sums stay whole.
std::pair<std::size_t, std::size_t> slice(std::size_t count, int lane, int lanes) {
  const auto block = static_cast<std::size_t>(kernels::kSumBlock);
  const std::size_t blocks = (count + block - 1) / block;
  const auto at = [&](int index) {
    return std::min(count, blocks * static_cast<std::size_t>(index) / static_cast<std::size_t>(lanes) * block);
  };
  return {at(lane), at(lane + 1)};
}

/// What a lane measures and updates at once: 128 KiB of gradients, a share of a second-level cache.
constexpr std::int64_t kPieceElements = std::int64_t{1} << 15;
static_assert(kPieceElements % kernels::kSumBlock == 0);

}  // namespace

std::optional<StepResult> CpuExecutable::step(const Batch& batch, const StepInputs& inputs, const RankReport& report) {
  reduction_->begin_step(report);
  const std::int64_t bytes_before = bytes_sent();
  for (std::atomic<int>& count : arrived_) count.store(0, std::memory_order_relaxed);
  for (std::atomic<int>& count : updated_) count.store(0, std::memory_order_relaxed);
  if (options_.optimizer.shard) std::fill(block_sums_.begin(), block_sums_.end(), 0.0);
  is_finite_ = true;
  averages_are_whole_ = false;
  evaluated_weights_ = Weights::changed;
  exposed_s_ = meeting_ == nullptr ? 0 : -meeting_->waited_s();
  pool_.run([&](int lane) {
    run_prologue(training_, lane);
    pool_.sync();
    meeting_ == nullptr ? run_shards(batch, lane) : run_in_lock_step(batch, lane);
    // From here on a wait is a wait for other ranks.
    pool_.sync();
    if (main_.update_at_once) {
      update_each_bucket(lane, inputs);
    } else {
      update_after_all(lane, inputs);
    }
    pool_.sync();
    if (lane == 0) finish_step(lane);
  });
  step_result_.comm_bytes = bytes_sent() - bytes_before;
  return step_result_;
}

void CpuExecutable::run_shards(const Batch& batch, int lane) {
  ShardProgram& program = training_.lanes[static_cast<std::size_t>(lane)];
  int first = 0;
  for (const std::vector<Merge>& merges : schedule_.waves) {
    const bool is_last = &merges == &schedule_.waves.back();
    const int shard = first + lane;
    if (shard < options_.shards.count()) {
      program.load(batch, shard * program.rows());
      if (is_last) {
        run_last_wave(program);
      } else {
        program.run();
      }
      note_progress();
    }
    first += options_.lanes;
    if (is_last || merges.empty()) continue;
    // Each lane adds its slice of every pair: elements do not see each other, so nobody waits in between.
    pool_.sync();
    const auto [begin, end] = slice(main_.output_elements, lane, options_.lanes);
    merge(merges, begin, end);
    pool_.sync();
  }
}

void CpuExecutable::run_last_wave(ShardProgram& program) {
  std::size_t at = 0;
  for (std::size_t bucket = 0; bucket < main_.reduce.size(); ++bucket) {
    at = program.run_through(main_.reduce[bucket].ready_after, at);
    arrive(bucket);
  }
  program.run_from(at);
}

/// The last lane to come adds up the rank's own sums and hands the bucket over. All lanes pass the buckets in one
/// order, so they are handed over in that order.
void CpuExecutable::arrive(std::size_t bucket) {
  if (arrived_[bucket].fetch_add(1, std::memory_order_acq_rel) + 1 != last_wave_lanes_) return;
  const ArenaRange range = main_.reduce[bucket].range;
  merge(schedule_.waves.back(), static_cast<std::size_t>(range.begin), static_cast<std::size_t>(range.end));
  reduction_->submit(bucket);
}

void CpuExecutable::merge(const std::vector<Merge>& merges, std::size_t begin, std::size_t end) {
  const auto count = static_cast<std::int64_t>(end - begin);
  if (count == 0) return;
  const auto data = [&](int buffer) { return outputs_[static_cast<std::size_t>(buffer)].floats() + begin; };
  const kernels::ElementwiseKernels& kernels = kernels::elementwise_kernels();
  for (const Merge& edge : merges) {
    if (edge.right < 0) {
      std::memcpy(data(edge.target), data(edge.left), static_cast<std::size_t>(count) * sizeof(float));
    } else {
      kernels.add(DType::f32, data(edge.left), data(edge.right), data(edge.target), count, 1);
    }
  }
}

void CpuExecutable::wait_for_bucket(std::size_t bucket, int lane) {
  const Clock::time_point start = Clock::now();
  reduction_->wait(bucket);
  if (lane == 0) exposed_s_ += std::chrono::duration<double>(Clock::now() - start).count();
}

ArenaRange CpuExecutable::part_of(const Bucket& bucket, int lane) const {
  const auto [begin, end] = slice(static_cast<std::size_t>(bucket.owned.elements()), lane, options_.lanes);
  return {bucket.owned.begin + static_cast<std::int64_t>(begin), bucket.owned.begin + static_cast<std::int64_t>(end)};
}

/// Loss and batch statistics come with the first bucket, so that nothing is updated where they are not finite. Of a
/// gradient that is not finite a lane sees its own part only: what other parts it has updated by then stays updated.
/// The run ends there (Plan::update_at_once).
void CpuExecutable::update_each_bucket(int lane, const StepInputs& inputs) {
  if (lane == 0) {
    wait_for_bucket(0, lane);
    judge_metrics();
    set_scalars(inputs, 0);
  }
  pool_.sync();
  for (const Bucket& bucket : buckets_) {
    wait_for_bucket(bucket.reduce, lane);
    const ArenaRange part = part_of(bucket, lane);
    // the second reading of a piece finds it in the cache
    for (std::int64_t begin = part.begin; begin < part.end; begin += kPieceElements) {
      const ArenaRange piece{begin, std::min(begin + kPieceElements, part.end)};
      measure(piece);
      update(bucket, piece);
    }
    hand_on(bucket);
  }
}

void CpuExecutable::update_after_all(int lane, const StepInputs& inputs) {
  for (const Bucket& bucket : buckets_) {
    wait_for_bucket(bucket.reduce, lane);
    measure(part_of(bucket, lane));
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

/// Sums of squares of the blocks of a lane's part, or of a piece of it that begins with a block.
void CpuExecutable::measure(const ArenaRange& part) {
  if (part.elements() == 0) return;
  double* const sums = block_sums_.data() + part.begin / kernels::kSumBlock;
  const double squares = kernels::reduce_kernels().sum_of_squares(result() + part.begin, part.elements(), sums, 1);
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

void CpuExecutable::finish_step(int lane) {
  const Clock::time_point start = Clock::now();
  reduction_->wait_all();
  exposed_s_ += std::chrono::duration<double>(Clock::now() - start).count();
  if (meeting_ != nullptr) exposed_s_ += meeting_->waited_s();
  if (main_.update_at_once) measure_norm(lane);
  if (is_finite_) update_statistics();
  step_result_.finite = is_finite_;
  step_result_.comm_exposed_s = exposed_s_;
  const RankVerdict verdict = judge_ranks(reduction_->reports(), compute_times_);
  step_result_.stop = verdict.stop;
  step_result_.slowest_rank = verdict.slowest_rank;
  step_result_.slowest_lag_s = verdict.lag_s;
}

}  // namespace athanor::cpu
