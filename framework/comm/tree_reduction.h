// Sums over ranks along the fixed tree of comm/tree.h in the host's memory: carries out the rounds of
// comm/tree_messages.h over a Communicator. Their bits do not depend on the number of ranks.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "comm/communicator.h"
#include "comm/tree_messages.h"

namespace athanor {

class TreeReduction {
 public:
  /// all_reduce goes through longer ranges in parts: on one host so short that what was received is added while it is
  /// in cache, among hosts so long that a message's latency does not matter.
  static constexpr std::int64_t kSegmentOnOneHost = std::int64_t{1} << 20;
  static constexpr std::int64_t kSegmentAmongHosts = std::int64_t{1} << 22;

  /// `largest`: elements of the longest range of reduce_scatter; all_reduce takes any. Allocates what the calls need;
  /// they allocate nothing.
  TreeReduction(Communicator& communicator, int shards, std::int64_t largest);

  /// Complete subtrees of this rank, from left to right: what `pieces` below stand for.
  const std::vector<ShardRange>& own_pieces() const { return messages_.own_pieces(); }

  /// `pieces`: a float arena for each of own_pieces. Afterwards `range` of pieces[0] holds the sum over all shards, on
  /// every rank; the other pieces are as they were, or used up. Throws PeerError.
  void all_reduce(std::span<float* const> pieces, ArenaRange range, const char* name);
  /// The same, but only slice_of(range, rank) of pieces[0] holds the sum afterwards; the rest of it is used up.
  void reduce_scatter(std::span<float* const> pieces, ArenaRange range, const char* name);
  /// Sends every rank's slice of `range` to all.
  void all_gather(float* arena, ArenaRange range, const char* name);

  /// See TreeMessages.
  ArenaRange slice_of(ArenaRange range, int rank) const { return messages_.slice_of(range, rank); }

  /// Bytes sent to other ranks since construction.
  std::int64_t bytes_sent() const { return bytes_sent_; }

  /// Floats of working memory.
  static std::int64_t scratch_elements(int shards, const Communicator& communicator, std::int64_t largest);

 private:
  void run(std::span<float* const> pieces, const char* name);
  float* at(std::span<float* const> pieces, TreeOperand operand);

  Communicator& communicator_;
  TreeMessages messages_;
  std::int64_t segment_elements_ = 0;
  std::vector<float> scratch_;
  TreeRounds rounds_;
  std::vector<SendPart> sends_;
  std::vector<ReceivePart> receives_;
  std::int64_t bytes_sent_ = 0;
};

}  // namespace athanor
