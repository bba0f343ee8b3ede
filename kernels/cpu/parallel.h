// How a kernel uses its team: a static split, so that the same thread count gives the same bits. One thread never
// enters libgomp. Inside a parallel region that yields fewer threads than asked for, the same parts are done in turn.
#pragma once

#include <omp.h>

#include <cstdint>

namespace athanor::kernels::ATHANOR_ISA {

/// Calls run(begin, end) for `threads` even parts of [0, count); parts start at multiples of `grain`.
template <typename F>
void parallel_ranges(int threads, std::int64_t count, std::int64_t grain, F&& run) {
  if (threads <= 1 || count <= grain) {
    if (count > 0) run(std::int64_t{0}, count);
    return;
  }
  const std::int64_t grains = (count + grain - 1) / grain;
#pragma omp parallel num_threads(threads)
  for (int part = omp_get_thread_num(); part < threads; part += omp_get_num_threads()) {
    const std::int64_t begin = grains * part / threads * grain;
    const std::int64_t last = grains * (part + 1) / threads * grain;
    const std::int64_t end = last < count ? last : count;
    if (begin < end) run(begin, end);
  }
}

/// Below this many elements a second thread costs more than it saves.
inline constexpr std::int64_t kElementGrain = 8192;

/// Calls run(item) for every item of [0, count).
template <typename F>
void parallel_items(int threads, std::int64_t count, F&& run) {
  parallel_ranges(threads, count, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t item = begin; item < end; ++item) run(item);
  });
}

}  // namespace athanor::kernels::ATHANOR_ISA
