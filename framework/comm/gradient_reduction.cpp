#include "comm/gradient_reduction.h"

#include <immintrin.h>
#include <sys/prctl.h>

#include <algorithm>
#include <chrono>
#include <cstring>

#include "base/error.h"
#include "kernels/elementwise.h"
#include "kernels/reduce.h"

namespace athanor {
namespace {

std::int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

std::int64_t longest_bucket(const Plan& plan) {
  std::int64_t longest = 0;
  for (const ReduceStep& step : plan.reduce) longest = std::max(longest, step.range.elements());
  return longest;
}

/// Only a sharded update scatters whole buckets.
std::int64_t longest_scattered(const Plan& plan, const GradientReductionOptions& options) {
  return options.sharded_update ? longest_bucket(plan) : 0;
}

void to_half(const float* from, std::uint16_t* to, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) {
    const auto half = static_cast<_Float16>(from[i]);
    std::memcpy(to + i, &half, sizeof half);
  }
}

void from_half(const std::uint16_t* from, float* to, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) {
    _Float16 half = 0;
    std::memcpy(&half, from + i, sizeof half);
    to[i] = static_cast<float>(half);
  }
}

}  // namespace

std::int64_t GradientReduction::scratch_elements(const Plan& plan, const Communicator& communicator,
                                                 const GradientReductionOptions& options) {
  if (communicator.size() == 1) return 0;
  const std::int64_t wire = options.wire == DType::f32 ? 0 : (longest_bucket(plan) + 1) / 2;
  return TreeReduction::scratch_elements(plan.shards, communicator, longest_scattered(plan, options)) + wire;
}

GradientReduction::GradientReduction(Communicator& communicator, const Plan& plan,
                                     const GradientReductionOptions& options)
    : communicator_(communicator.duplicate("gradients")),
      plan_(plan),
      options_(options),
      tree_(*communicator_, plan.shards, longest_scattered(plan, options)),
      reports_(static_cast<std::size_t>(communicator.size())) {
  // In one step: each bucket reduced and gathered, the reports, one union.
  std::size_t capacity = 4;
  while (capacity < 2 * plan.reduce.size() + 4) capacity *= 2;
  tasks_.resize(capacity);
  if (communicator_->size() == 1) return;
  if (options_.wire != DType::f32) wire_.resize(static_cast<std::size_t>(longest_bucket(plan)));
  communicator_->set_background(&waiting_);
  thread_ = std::thread([this] { work(); });
}

GradientReduction::~GradientReduction() {
  if (!thread_.joinable()) return;
  stopping_ = true;
  submitted_.fetch_add(1);
  submitted_.notify_all();
  thread_.join();
}

bool GradientReduction::is_parameters(std::size_t bucket) const {
  return plan_.reduce[bucket].range.begin < static_cast<std::int64_t>(plan_.parameter_elements);
}

ArenaRange GradientReduction::owned_by(std::size_t bucket, int rank) const {
  const ArenaRange range = plan_.reduce[bucket].range;
  return options_.sharded_update && is_parameters(bucket) ? tree_.slice_of(range, rank) : range;
}

void GradientReduction::begin_step(const RankReport& report) {
  step_first_ = submitted_.load(std::memory_order_relaxed);
  own_report_ = report;
  step_start_ns_ = now_ns();
}

void GradientReduction::submit(std::size_t bucket) {
  const bool is_last = bucket + 1 == plan_.reduce.size();
  if (is_last) own_report_.compute_s = static_cast<float>(static_cast<double>(now_ns() - step_start_ns_) * 1e-9);
  push({.kind = Task::Kind::reduce, .bucket = bucket, .arena = nullptr, .words = {}});
  if (is_last) push({.kind = Task::Kind::reports, .bucket = 0, .arena = nullptr, .words = {}});
}

void GradientReduction::submit_gather(float* arena, std::size_t bucket) {
  push({.kind = Task::Kind::gather, .bucket = bucket, .arena = arena, .words = {}});
}

void GradientReduction::submit_union(std::span<double> words) {
  push({.kind = Task::Kind::unite, .bucket = 0, .arena = nullptr, .words = words});
}

void GradientReduction::push(const Task& task) {
  if (!thread_.joinable()) {
    run(task);
    submitted_.fetch_add(1, std::memory_order_relaxed);
    done_.fetch_add(1, std::memory_order_release);
    done_.notify_all();
    return;
  }
  tasks_[submitted_.load(std::memory_order_relaxed) % tasks_.size()] = task;
  submitted_.fetch_add(1, std::memory_order_release);
  submitted_.notify_one();
}

void GradientReduction::wait(std::size_t bucket) {
  wait_for(step_first_ + static_cast<std::uint32_t>(bucket) + 1);
}

void GradientReduction::wait_all() {
  wait_for(submitted_.load(std::memory_order_acquire));
}

void GradientReduction::wait_for(std::uint32_t tasks) {
  constexpr int kSpins = 2000;
  const auto is_done = [&](std::uint32_t done) { return static_cast<std::int32_t>(done - tasks) >= 0; };
  std::uint32_t done = done_.load(std::memory_order_acquire);
  if (!is_done(done)) {
    waiting_.fetch_add(1, std::memory_order_relaxed);
    for (int spin = 0; !is_done(done) && !failed_; ++spin) {
      if (spin < kSpins) {
        _mm_pause();
      } else {
        done_.wait(done, std::memory_order_acquire);
      }
      done = done_.load(std::memory_order_acquire);
    }
    waiting_.fetch_sub(1, std::memory_order_relaxed);
  }
  if (failed_) std::rethrow_exception(failure_);
}

void GradientReduction::work() {
  // Naps between polls are tens of microseconds; the kernel would stretch them by as much again.
  prctl(PR_SET_TIMERSLACK, 1000UL, 0UL, 0UL, 0UL);
  for (std::uint32_t next = 0;; ++next) {
    std::uint32_t submitted = submitted_.load(std::memory_order_acquire);
    while (submitted == next) {
      submitted_.wait(submitted, std::memory_order_acquire);
      submitted = submitted_.load(std::memory_order_acquire);
    }
    if (stopping_) return;
    try {
      run(tasks_[next % tasks_.size()]);
    } catch (...) {
      failure_ = std::current_exception();
      failed_ = true;
      done_.fetch_add(1);
      done_.notify_all();
      return;
    }
    done_.fetch_add(1, std::memory_order_release);
    done_.notify_all();
  }
}

void GradientReduction::run(const Task& task) {
  switch (task.kind) {
    case Task::Kind::reduce:
      reduce(task.bucket);
      break;
    case Task::Kind::gather:
      tree_.all_gather(task.arena, plan_.reduce[task.bucket].range, "weights");
      break;
    case Task::Kind::unite:
      // Disjoint parts: integers add without rounding.
      communicator_->all_reduce(task.words.data(), task.words.size(), DType::i64, ReduceOp::sum, "gradient norm");
      break;
    case Task::Kind::reports:
      communicator_->all_gather(&own_report_, reports_.data(), sizeof own_report_, "reports");
      break;
  }
}

void GradientReduction::reduce(std::size_t bucket) {
  const ArenaRange range = plan_.reduce[bucket].range;
  if (options_.mode == ReductionMode::library && communicator_->size() > 1) {
    reduce_by_library(range, is_parameters(bucket));
  } else if (options_.sharded_update && is_parameters(bucket)) {
    tree_.reduce_scatter(pieces_, range, "gradients");
  } else {
    tree_.all_reduce(pieces_, range, "gradients");
  }
}

void GradientReduction::reduce_by_library(ArenaRange range, bool compressed) {
  float* const sum = pieces_[0] + range.begin;
  const std::int64_t count = range.elements();
  for (std::size_t piece = 1; piece < pieces_.size(); ++piece) {
    kernels::reduce_kernels().add_into(sum, pieces_[piece] + range.begin, count, 1);
  }
  const DType wire = compressed ? options_.wire : DType::f32;
  const auto elements = static_cast<std::size_t>(count);
  library_bytes_ +=
      static_cast<std::int64_t>(elements * size_of(wire)) * 2 * (communicator_->size() - 1) / communicator_->size();
  if (wire == DType::f32) {
    communicator_->all_reduce(sum, elements, DType::f32, ReduceOp::sum, "gradients");
    return;
  }
  if (wire == DType::bf16) {
    kernels::elementwise_kernels().cast(DType::f32, sum, DType::bf16, wire_.data(), count, 1);
  } else {
    to_half(sum, wire_.data(), count);
  }
  communicator_->all_reduce(wire_.data(), elements, wire, ReduceOp::sum, "gradients");
  if (wire == DType::bf16) {
    kernels::elementwise_kernels().cast(DType::bf16, wire_.data(), DType::f32, sum, count, 1);
  } else {
    from_half(wire_.data(), sum, count);
  }
}

}  // namespace athanor
