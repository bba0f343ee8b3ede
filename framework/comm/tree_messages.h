// What one rank sends, receives and adds so that a range is summed over all ranks along the fixed tree of comm/tree.h:
// as data, carried out by tree_reduction.h (between hosts) and backend/cuda/group_reduction.h (between GPUs). Three
// ways, all with the same bits, which do not depend on the number of ranks:
//   halving   every rank's shards are one subtree and the ranks' subtrees form a balanced tree: partners at distance 1,
//             2, 4, … (nearest first) exchange halves, quarters, …, add, and send the sums back the same way
//   direct    any other world size: the owner of a slice receives everybody's pieces of it and adds them in tree order
//   small     a few kilobytes, where messages cost more than bytes: whole vectors are exchanged, everybody adds
// The first two move 2(W − 1)/W of the bytes a rank where the shards are even.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

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

/// Floats from element `begin` of the arena of one of the rank's pieces, or of its working memory.
struct TreeOperand {
  static constexpr int kScratch = -1;
  int piece = kScratch;
  std::int64_t begin = 0;
  friend bool operator==(const TreeOperand&, const TreeOperand&) = default;
};

/// To or from `peer`.
struct TreeMessage {
  int peer = 0;
  TreeOperand data;
  std::int64_t count = 0;
};

/// target = left + right. The target may be one of the two. IEEE addition commutes, so only which pairs are added makes
/// the bits, not which is the left one.
struct TreeAddition {
  TreeOperand target, left, right;
  std::int64_t count = 0;
};

/// Rounds one after another: in each the messages travel together, then the additions run in order.
class TreeRounds {
 public:
  struct Round {
    std::span<const TreeMessage> sends, receives;
    std::span<const TreeAddition> additions;
  };

  std::size_t size() const { return ends_.size(); }
  Round at(std::size_t round) const;
  /// Keeps the memory.
  void clear();

  /// To the round that is being made. Nothing is kept of messages without elements: both ends know that.
  void send(int peer, TreeOperand data, std::int64_t count);
  void receive(int peer, TreeOperand data, std::int64_t count);
  void add(TreeOperand target, TreeOperand left, TreeOperand right, std::int64_t count);
  void end_round();

 private:
  struct Ends {
    std::size_t sends = 0, receives = 0, additions = 0;
  };
  std::vector<TreeMessage> sends_, receives_;
  std::vector<TreeAddition> additions_;
  std::vector<Ends> ends_;
};

class TreeMessages {
 public:
  /// For `rank` of `ranks`. Ranges of at most `small_elements` go the small way.
  TreeMessages(int shards, int rank, int ranks, std::int64_t small_elements);

  /// Complete subtrees of this rank, from left to right: what TreeOperand::piece stands for.
  const std::vector<ShardRange>& own_pieces() const { return own_pieces_; }

  /// Each appends its rounds. Afterwards `range` of piece 0 holds the sum over all shards, on every rank; the other
  /// pieces are as they were, or used up.
  void all_reduce(ArenaRange range, TreeRounds& rounds) const;
  /// The same, but only slice_of(range, rank) of piece 0 holds the sum afterwards; the rest of it is used up.
  void reduce_scatter(ArenaRange range, TreeRounds& rounds) const;
  /// Sends every rank's slice of `range` of piece 0 to all.
  void all_gather(ArenaRange range, TreeRounds& rounds) const;

  /// The part of a range that a rank owns: cut at multiples of 4,096 elements of the arena, so that block sums stay
  /// whole; empty where there are more ranks than blocks.
  ArenaRange slice_of(ArenaRange range, int rank) const;

  /// Floats of working memory for ranges of up to `largest` elements.
  std::int64_t scratch_elements(std::int64_t largest) const;

 private:
  void scatter(const Slicing& slicing, TreeRounds& rounds) const;
  void gather(const Slicing& slicing, TreeRounds& rounds) const;
  void exchange_whole(ArenaRange range, TreeRounds& rounds) const;
  void halve(const Slicing& slicing, TreeRounds& rounds) const;
  void double_back(const Slicing& slicing, TreeRounds& rounds) const;
  void collect_slices(const Slicing& slicing, TreeRounds& rounds) const;
  void spread_slices(const Slicing& slicing, TreeRounds& rounds) const;
  void add_all_pieces(ArenaRange own, TreeRounds& rounds) const;
  TreeOperand item_at(int item, ArenaRange own) const;
  ArenaRange owned(const Slicing& slicing, int rank) const;

  int rank_, ranks_;
  std::vector<int> pieces_of_;  // by rank: how many
  std::vector<ShardRange> own_pieces_;
  int first_own_ = 0;            // of the pieces of all ranks, in order: "items"
  std::vector<TreeEdge> edges_;  // over the items
  bool halving_ = false;
  std::int64_t small_elements_;
};

}  // namespace athanor
