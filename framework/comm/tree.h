// The fixed tree along which shards are summed: n leaves are split at the largest power of two below n, recursively. It
// depends on the number of shards alone, so sums along it have the same bits on any number of ranks and lanes.
#pragma once

#include <bit>
#include <vector>

#include "comm/shard_range.h"

namespace athanor {

/// Leaves of the left subtree of a node with `leaves` ≥ 2 leaves.
constexpr int left_leaves(int leaves) {
  return static_cast<int>(std::bit_floor(static_cast<unsigned>(leaves - 1)));
}

/// Whether `left` and `right` are the two subtrees of one node of the tree over `shards` leaves.
bool are_siblings(int shards, ShardRange left, ShardRange right);

/// The fewest complete subtrees that cover `range`, from left to right: what one rank can sum by itself.
std::vector<ShardRange> subtrees_of(int shards, ShardRange range);

/// Adds item `right` to item `left`; the sum is in `left`.
struct TreeEdge {
  int left;
  int right;
  friend bool operator==(const TreeEdge&, const TreeEdge&) = default;
};

/// The additions that make one sum, in item 0, of `items`: neighbouring complete subtrees that cover all leaves.
std::vector<TreeEdge> edges_over(int shards, const std::vector<ShardRange>& items);

}  // namespace athanor
