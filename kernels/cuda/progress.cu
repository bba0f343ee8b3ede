// One thread each: a few words for the host.
#include "kernels/cuda/progress.h"

#include "kernels/cuda/thread_model.h"

#ifndef __CUDACC__
#include <chrono>
#endif

namespace athanor::kernels::cuda {
namespace {

ATHANOR_DEVICE void store_for_host(std::int64_t* target, std::int64_t value) {
#ifdef __CUDACC__
  *static_cast<volatile std::int64_t*>(target) = value;
  __threadfence_system();
#else
  __atomic_store_n(target, value, __ATOMIC_RELEASE);
#endif
}

ATHANOR_DEVICE std::int64_t nanoseconds() {
#ifdef __CUDACC__
  std::uint64_t time;
  asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(time));
  return static_cast<std::int64_t>(time);
#else
  return std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count();
#endif
}

ATHANOR_KERNEL store_sequence(StoreSequence args) {
  const std::int64_t sequence = *args.counter + (args.advance ? 1 : 0);
  if (args.advance) *args.counter = sequence;
  store_for_host(args.target, sequence);
}

ATHANOR_KERNEL stamp_time(StampTime args) {
  const std::int64_t now = nanoseconds();
  if (args.elapsed != nullptr) *args.elapsed = static_cast<float>(static_cast<double>(now - *args.since) * 1e-9);
  if (args.now != nullptr) *args.now = now;
}

}  // namespace

void launch(const StoreSequence& args, LaunchStream stream) {
  launch_independent(store_sequence, Dim3(1), Dim3(1), 0, stream, args);
}

void launch(const StampTime& args, LaunchStream stream) {
  launch_independent(stamp_time, Dim3(1), Dim3(1), 0, stream, args);
}

}  // namespace athanor::kernels::cuda
