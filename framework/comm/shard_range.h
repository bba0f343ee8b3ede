// Which shards of a batch a rank runs: a contiguous range, as even as can be. Shards are the unit of the mathematics;
// ranks only share them out, so that any world size up to the number of shards computes the same.
#pragma once

#include <algorithm>

namespace athanor {

/// Shards [first, last).
struct ShardRange {
  int first = 0;
  int last = 1;
  int count() const { return last - first; }
  friend bool operator==(const ShardRange&, const ShardRange&) = default;
};

/// Of `rank` in a world of `size` ≤ `shards` ranks. The first shards mod size ranks run one shard more.
constexpr ShardRange shards_of_rank(int shards, int rank, int size) {
  const int each = shards / size, more = shards % size;
  const int first = rank * each + std::min(rank, more);
  return {first, first + each + (rank < more ? 1 : 0)};
}

}  // namespace athanor
