// Where all shards of a batch, on all lanes and ranks, hand each other a few numbers in the middle of a pass. Bytes are
// moved and nothing is computed, so what a shard gets does not depend on who runs which shard.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "backend/cpu/lane_pool.h"
#include "backend/cpu/program.h"
#include "comm/communicator.h"
#include "comm/shard_range.h"

namespace athanor::cpu {

class ShardMeeting {
 public:
  /// `own`: shards of this rank. `communicator` must outlive this; it is used by lane 0.
  ShardMeeting(const Plan& plan, ShardRange own, Communicator& communicator);

  /// Inside LanePool::run, by every lane, at meeting `index` of the programs of this rank's shards. A lane brings
  /// shards lane, lane + lanes, …; it returns when they have what all shards brought. Throws PeerError.
  void meet(std::span<const ShardProgram> programs, std::size_t index, int lane, LanePool& pool);

  /// Since construction: seconds that lane 0 waited for other ranks, and bytes sent to them.
  double waited_s() const { return waited_s_; }
  std::int64_t bytes_sent() const { return bytes_sent_; }

  /// What the constructor allocates.
  static std::size_t memory_bytes(const Plan& plan, int ranks);

 private:
  void exchange(std::byte* all, std::size_t bytes);

  Communicator& communicator_;
  int shards_, rank_, ranks_;
  int most_;  ///< shards of the rank that has most: each rank's place in a buffer
  /// Used in turn: who is at the next meeting does not touch what others still read of this one.
  std::array<std::vector<std::byte>, 2> buffers_;
  double waited_s_ = 0;
  std::int64_t bytes_sent_ = 0;
};

}  // namespace athanor::cpu
