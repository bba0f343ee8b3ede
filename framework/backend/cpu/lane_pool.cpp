#include "backend/cpu/lane_pool.h"

#include <immintrin.h>
#include <omp.h>
#include <pmmintrin.h>

#include <utility>

#include "backend/cpu/onednn.h"

namespace athanor::cpu {
namespace {

constexpr int kSpins = 2000;

/// Numbers below 2^-126 cost a hundred times more and matter to nobody.
void flush_denormals() {
  _MM_SET_FLUSH_ZERO_MODE(_MM_FLUSH_ZERO_ON);
  _MM_SET_DENORMALS_ZERO_MODE(_MM_DENORMALS_ZERO_ON);
}

/// Of every thread of the calling thread's team. A team that was made earlier, by whoever, has not inherited the mode.
void flush_denormals_of_team(int threads) {
  flush_denormals();
  if (threads == 1) return;
#pragma omp parallel num_threads(threads)
  flush_denormals();
}

template <typename T>
void wait_for_change(const std::atomic<T>& value, T old) {
  for (int spin = 0; spin < kSpins; ++spin) {
    if (value.load(std::memory_order_acquire) != old) return;
    _mm_pause();
  }
  value.wait(old, std::memory_order_acquire);
}

}  // namespace

bool LaneBarrier::arrive_and_wait() {
  const std::uint32_t generation = generation_.load(std::memory_order_acquire);
  if (broken_.load(std::memory_order_acquire)) return false;
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == lanes_) {
    arrived_.store(0, std::memory_order_relaxed);
    generation_.store(generation + 1, std::memory_order_release);
    generation_.notify_all();
    return !broken_.load(std::memory_order_acquire);
  }
  wait_for_change(generation_, generation);
  return !broken_.load(std::memory_order_acquire);
}

void LaneBarrier::break_open() {
  broken_.store(true, std::memory_order_release);
  generation_.fetch_add(1, std::memory_order_release);
  generation_.notify_all();
}

void LaneBarrier::mend() {
  arrived_.store(0, std::memory_order_relaxed);
  broken_.store(false, std::memory_order_release);
}

LanePool::LanePool(int lanes, int threads_per_lane)
    : lanes_(lanes), threads_per_lane_(threads_per_lane), barrier_(lanes), end_(lanes) {
  for (int lane = 1; lane < lanes; ++lane) threads_.emplace_back([this, lane] { lead(lane); });
}

LanePool::~LanePool() {
  stopping_.store(true);
  ticket_.fetch_add(1, std::memory_order_release);
  ticket_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void LanePool::lead(int lane) {
  omp_set_num_threads(threads_per_lane_);
  flush_denormals_of_team(threads_per_lane_);
  std::uint32_t seen = 0;
  while (true) {
    wait_for_change(ticket_, seen);
    ++seen;
    if (stopping_.load()) return;
    work_guarded(lane);
    end_.arrive_and_wait();
  }
}

void LanePool::work_guarded(int lane) noexcept {
  try {
    (*work_)(lane);
  } catch (const Abandoned&) {
  } catch (...) {
    const std::lock_guard lock(failure_mutex_);
    if (!failure_) failure_ = std::current_exception();
    barrier_.break_open();
  }
}

void LanePool::run_all(const std::function<void(int)>& work) {
  const TeamSize team(threads_per_lane_);
  const unsigned int control = _mm_getcsr();
  flush_denormals_of_team(threads_per_lane_);
  work_ = &work;
  ticket_.fetch_add(1, std::memory_order_release);
  ticket_.notify_all();
  work_guarded(0);
  end_.arrive_and_wait();
  _mm_setcsr(control);
  if (failure_) {
    barrier_.mend();
    std::rethrow_exception(std::exchange(failure_, nullptr));
  }
}

}  // namespace athanor::cpu
