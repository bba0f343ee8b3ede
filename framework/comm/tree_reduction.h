// Sums over ranks along the fixed tree of comm/tree.h, so that their bits do not depend on the number of ranks. Three
// ways, all with the same bits:
//   halving   every rank's shards are one subtree and the ranks' subtrees form a balanced tree: partners at distance 1,
//             2, 4, … (nearest first) exchange halves, quarters, …, add, and send the sums back the same way
//   direct    any other world size: the owner of a slice receives everybody's pieces of it and adds them in tree order
//   small     a few kilobytes, where messages cost more than bytes: whole vectors are exchanged, everybody adds
// The first two move 2(W − 1)/W of the bytes a rank where the shards are even.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "comm/communicator.h"
#include "comm/tree.h"
#include "graph/update_plan.h"

namespace athanor {

/// A range cut into as many slices as there are ranks, at multiples of `grain` elements of the arena.
struct Slicing {
  ArenaRange range;
  std::int64_t grain = 1;
  int slices = 1;
  /// Slices [first, last), joined.
  ArenaRange at(int first, int last) const;
};

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
  const std::vector<ShardRange>& own_pieces() const { return own_pieces_; }

  /// `pieces`: a float arena for each of own_pieces. Afterwards `range` of pieces[0] holds the sum over all shards, on
  /// every rank; the other pieces are as they were, or used up. Throws PeerError.
  void all_reduce(std::span<float* const> pieces, ArenaRange range, const char* name);
  /// The same, but only slice_of(range, rank) of pieces[0] holds the sum afterwards; the rest of it is used up.
  void reduce_scatter(std::span<float* const> pieces, ArenaRange range, const char* name);
  /// Sends every rank's slice of `range` to all.
  void all_gather(float* arena, ArenaRange range, const char* name);

  /// The part of a range that a rank owns: cut at multiples of 4,096 elements of the arena, so that block sums stay
  /// whole; empty where there are more ranks than blocks.
  ArenaRange slice_of(ArenaRange range, int rank) const;

  /// Bytes sent to other ranks since construction.
  std::int64_t bytes_sent() const { return bytes_sent_; }

  /// Floats of working memory.
  static std::int64_t scratch_elements(int shards, const Communicator& communicator, std::int64_t largest);

 private:
  bool is_small(ArenaRange range) const;
  void reduce_small(std::span<float* const> pieces, ArenaRange range, const char* name);
  void scatter(std::span<float* const> pieces, const Slicing& slicing, const char* name);
  void gather(float* arena, const Slicing& slicing, const char* name);
  void halve(float* arena, const Slicing& slicing, const char* name);
  void double_back(float* arena, const Slicing& slicing, const char* name);
  void collect_slices(std::span<float* const> pieces, const Slicing& slicing, const char* name);
  void spread_slices(float* arena, const Slicing& slicing, const char* name);
  ArenaRange owned(const Slicing& slicing, int rank) const;
  void add_along_tree(std::span<float*> items, std::int64_t count);
  void exchange(const char* name);

  Communicator& communicator_;
  int rank_, ranks_;
  std::vector<std::vector<ShardRange>> pieces_of_;  // by rank
  std::vector<ShardRange> own_pieces_;
  std::vector<TreeEdge> edges_;  // over all pieces of all ranks
  bool halving_ = false;
  std::int64_t small_elements_ = 0;
  std::int64_t segment_elements_ = 0;
  std::vector<float> scratch_;
  std::vector<float*> items_;
  std::vector<SendPart> sends_;
  std::vector<ReceivePart> receives_;
  std::int64_t bytes_sent_ = 0;
};

}  // namespace athanor
