// One update. The last wave of shards hands each bucket over as soon as every lane has written it; the buckets' sums
// over ranks come back while backward still runs, and each lane updates its part of what has come back.
#include <algorithm>
#include <chrono>
#include <cstring>

#include "backend/cpu/cpu_executable.h"
#include "base/error.h"
#include "kernels/elementwise.h"

namespace athanor::cpu {
namespace {

using Clock = std::chrono::steady_clock;

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
    const auto [begin, end] = slice_of_lane(main_.output_elements, lane, options_.lanes);
    merge(merges, {static_cast<std::int64_t>(begin), static_cast<std::int64_t>(end)});
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
/// order, so they are handed over in that order. A rank that is alone adds up as it updates, on all lanes.
void CpuExecutable::arrive(std::size_t bucket) {
  if (arrived_[bucket].fetch_add(1, std::memory_order_acq_rel) + 1 != last_wave_lanes_) return;
  merge(merges_on_arrival_, main_.reduce[bucket].range);
  reduction_->submit(bucket);
}

void CpuExecutable::merge(const std::vector<Merge>& merges, const ArenaRange& range) {
  const std::int64_t count = range.elements();
  if (count == 0) return;
  const auto data = [&](int buffer) { return outputs_[static_cast<std::size_t>(buffer)].floats() + range.begin; };
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
