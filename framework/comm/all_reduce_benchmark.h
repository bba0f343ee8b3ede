// How fast ranks sum together: the ordered tree reduction against the library's own all-reduce, size by size, in turns
// on the same machine.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "comm/communicator.h"

namespace athanor {

/// Medians over the rounds, of the slowest rank. Bus bandwidth is that of nccl-tests: bytes ÷ time · 2(W − 1)/W.
struct AllReduceRow {
  std::int64_t bytes = 0;
  double tree_us = 0;
  double library_us = 0;  ///< 0 where there is no library
  double ratio = 0;       ///< median over the rounds of library time ÷ tree time
  double tree_bus_gb_s = 0;
  double library_bus_gb_s = 0;
  bool exact = true;  ///< whether the sums, known beforehand, were right
};

struct AllReduceBenchmarkOptions {
  std::int64_t first_bytes = 4;
  std::int64_t last_bytes = std::int64_t{256} << 20;
  int factor = 4;             ///< from one size to the next
  double seconds_a_size = 1;  ///< both sides together
};

/// Collective. One shard a rank. `row` is called on every rank as soon as a size is done. Throws PeerError.
void benchmark_all_reduce(Communicator& communicator, const AllReduceBenchmarkOptions& options,
                          const std::function<void(const AllReduceRow&)>& row);

}  // namespace athanor
