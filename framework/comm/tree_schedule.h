// In which order a rank adds up what its shards hand in, along the tree of comm/tree.h. So the bits of a sum depend
// neither on how many shards ran side by side nor on when they finished.
#pragma once

#include <vector>

#include "comm/shard_range.h"

namespace athanor {

/// Shards run in waves of `lanes`; each lane has one buffer, overwritten in every wave. Buffers 0 … lanes − 1 are the
/// lanes', the following ones are accumulators.
struct Merge {
  int target;
  int left;
  int right;  ///< −1: copy `left` to `target`
};

/// The sum of a complete subtree, and the buffer that holds it after the last wave.
struct Piece {
  ShardRange shards;
  int buffer = 0;
};

struct TreeSchedule {
  std::vector<std::vector<Merge>> waves;  ///< what to do after each wave, in order, element by element
  int buffers = 0;                        ///< lanes and accumulators
  std::vector<Piece> pieces;              ///< what the rank hands to the others, from left to right; alone: one
};

/// For the shards `range` of `shards` on `lanes` ≥ 1 lanes. Needs at most 2 · ⌈log2(shards)⌉ + 1 accumulators, half as
/// many where the range is one subtree.
TreeSchedule make_tree_schedule(int shards, ShardRange range, int lanes);

}  // namespace athanor
