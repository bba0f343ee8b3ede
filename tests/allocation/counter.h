// Counts the allocations of this program, told apart by whose they are: the whole program allocates through
// counter.cpp.
#pragma once

#include <functional>

namespace athanor::testing {

struct AllocationCount {
  long ours = 0;       ///< operator new, but for oneDNN's, and what this program's or Athanor's code takes by malloc
  long libraries = 0;  ///< everything else: oneDNN, the OpenMP runtime, the C library

  friend bool operator==(const AllocationCount&, const AllocationCount&) = default;
};

/// What every thread allocates while `act` runs. One call at a time.
AllocationCount allocations_during(const std::function<void()>& act);

/// Whether allocations can be counted here: a sanitizer brings an allocator of its own, which must not be replaced.
bool can_count_allocations();

}  // namespace athanor::testing
