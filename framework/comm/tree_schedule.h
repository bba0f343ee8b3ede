// In which order a rank adds up what its shards hand in. The tree over n shards is fixed: n leaves are split at the
// largest power of two below n, recursively. So the bits of a sum depend neither on how many shards ran side by side
// nor on when they finished.
#pragma once

#include <vector>

namespace athanor {

/// Shards run in waves of `lanes`; each lane has one buffer, overwritten in every wave. Buffers 0 … lanes − 1 are the
/// lanes', the following ones are accumulators.
struct Merge {
  int target;
  int left;
  int right;  ///< −1: copy `left` to `target`
};

struct TreeSchedule {
  std::vector<std::vector<Merge>> waves;  ///< what to do after each wave, in order, element by element
  int buffers = 0;                        ///< lanes and accumulators
  int result = 0;                         ///< the buffer that holds the sum after the last wave
};

/// For `shards` ≥ 1 shards on `lanes` ≥ 1 lanes. Needs at most ⌈log2(shards)⌉ + 1 accumulators.
TreeSchedule make_tree_schedule(int shards, int lanes);

}  // namespace athanor
