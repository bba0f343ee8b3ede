#include "comm/tree_messages.h"

#include <algorithm>
#include <numeric>

#include "base/error.h"
#include "kernels/reduce.h"

namespace athanor {
namespace {

/// Slices of all_reduce begin on cache lines, and so does what is received.
constexpr std::int64_t kLineElements = 16;

std::int64_t whole_lines(std::int64_t elements) {
  return (elements + kLineElements - 1) / kLineElements * kLineElements;
}

/// Whether partners at distance 1, 2, 4, … meet at nodes of the tree.
bool can_halve(int shards, const std::vector<std::vector<ShardRange>>& pieces_of) {
  const auto ranks = pieces_of.size();
  if ((ranks & (ranks - 1)) != 0) return false;
  std::vector<ShardRange> nodes;
  for (const std::vector<ShardRange>& pieces : pieces_of) {
    if (pieces.size() != 1) return false;
    nodes.push_back(pieces.front());
  }
  while (nodes.size() > 1) {
    std::vector<ShardRange> parents;
    for (std::size_t i = 0; i < nodes.size(); i += 2) {
      if (!are_siblings(shards, nodes[i], nodes[i + 1])) return false;
      parents.push_back({nodes[i].first, nodes[i + 1].last});
    }
    nodes = std::move(parents);
  }
  return true;
}

/// The slice that a rank owns after halving, nearest partner first: the bits of its number in reverse.
int reversed_bits(int rank, int ranks) {
  int reversed = 0;
  for (int bit = 1; bit < ranks; bit <<= 1) reversed = (reversed << 1) | ((rank & bit) != 0 ? 1 : 0);
  return reversed;
}

}  // namespace

ArenaRange Slicing::at(int first, int last) const {
  const std::int64_t first_grain = range.begin / grain, grains = (range.end + grain - 1) / grain - first_grain;
  const auto edge = [&](int slice) {
    return std::clamp((first_grain + grains * slice / slices) * grain, range.begin, range.end);
  };
  return {edge(first), edge(last)};
}

TreeRounds::Round TreeRounds::at(std::size_t round) const {
  const Ends from = round == 0 ? Ends{} : ends_[round - 1], to = ends_[round];
  return {.sends = std::span(sends_).subspan(from.sends, to.sends - from.sends),
          .receives = std::span(receives_).subspan(from.receives, to.receives - from.receives),
          .additions = std::span(additions_).subspan(from.additions, to.additions - from.additions)};
}

void TreeRounds::clear() {
  sends_.clear();
  receives_.clear();
  additions_.clear();
  ends_.clear();
}

void TreeRounds::send(int peer, TreeOperand data, std::int64_t count) {
  if (count > 0) sends_.push_back({peer, data, count});
}

void TreeRounds::receive(int peer, TreeOperand data, std::int64_t count) {
  if (count > 0) receives_.push_back({peer, data, count});
}

void TreeRounds::add(TreeOperand target, TreeOperand left, TreeOperand right, std::int64_t count) {
  if (count > 0) additions_.push_back({target, left, right, count});
}

void TreeRounds::end_round() {
  ends_.push_back({sends_.size(), receives_.size(), additions_.size()});
}

TreeMessages::TreeMessages(int shards, int rank, int ranks, std::int64_t small_elements)
    : rank_(rank), ranks_(ranks), small_elements_(small_elements) {
  ATHANOR_CHECK(0 <= rank && rank < ranks && ranks <= shards);
  std::vector<std::vector<ShardRange>> by_rank;
  std::vector<ShardRange> all;
  for (int peer = 0; peer < ranks; ++peer) {
    if (peer == rank) first_own_ = static_cast<int>(all.size());
    by_rank.push_back(subtrees_of(shards, shards_of_rank(shards, peer, ranks)));
    pieces_of_.push_back(static_cast<int>(by_rank.back().size()));
    all.insert(all.end(), by_rank.back().begin(), by_rank.back().end());
  }
  own_pieces_ = by_rank[static_cast<std::size_t>(rank)];
  edges_ = edges_over(shards, all);
  halving_ = can_halve(shards, by_rank);
}

std::int64_t TreeMessages::scratch_elements(std::int64_t largest) const {
  if (ranks_ == 1) return 0;
  const int pieces = std::accumulate(pieces_of_.begin(), pieces_of_.end(), 0);
  const std::int64_t foreign = pieces - pieces_of_[static_cast<std::size_t>(rank_)];
  const std::int64_t small = foreign * whole_lines(small_elements_);
  const std::int64_t blocks = (largest + kernels::kSumBlock - 1) / kernels::kSumBlock + 1;
  const std::int64_t shares = halving_ ? 2 : ranks_;
  const std::int64_t slice = ((blocks + shares - 1) / shares + 1) * kernels::kSumBlock;
  return std::max(small, halving_ ? slice : foreign * slice);
}

ArenaRange TreeMessages::owned(const Slicing& slicing, int rank) const {
  const int slice = halving_ ? reversed_bits(rank, ranks_) : rank;
  return slicing.at(slice, slice + 1);
}

ArenaRange TreeMessages::slice_of(ArenaRange range, int rank) const {
  return owned({range, kernels::kSumBlock, ranks_}, rank);
}

void TreeMessages::all_reduce(ArenaRange range, TreeRounds& rounds) const {
  if (ranks_ == 1 || range.elements() == 0) return;
  if (range.elements() <= small_elements_) {
    exchange_whole(range, rounds);
    return;
  }
  const Slicing slicing{range, kLineElements, ranks_};
  scatter(slicing, rounds);
  gather(slicing, rounds);
}

void TreeMessages::reduce_scatter(ArenaRange range, TreeRounds& rounds) const {
  if (ranks_ > 1 && range.elements() > 0) scatter({range, kernels::kSumBlock, ranks_}, rounds);
}

void TreeMessages::all_gather(ArenaRange range, TreeRounds& rounds) const {
  if (ranks_ > 1 && range.elements() > 0) gather({range, kernels::kSumBlock, ranks_}, rounds);
}

void TreeMessages::scatter(const Slicing& slicing, TreeRounds& rounds) const {
  halving_ ? halve(slicing, rounds) : collect_slices(slicing, rounds);
}

void TreeMessages::gather(const Slicing& slicing, TreeRounds& rounds) const {
  halving_ ? double_back(slicing, rounds) : spread_slices(slicing, rounds);
}

/// Where the `item`-th of all ranks' pieces of the range `own` lies: foreign ones in working memory, in order.
TreeOperand TreeMessages::item_at(int item, ArenaRange own) const {
  const int own_count = static_cast<int>(own_pieces_.size());
  if (item >= first_own_ && item < first_own_ + own_count) return {item - first_own_, own.begin};
  const int foreign = item < first_own_ ? item : item - own_count;
  return {TreeOperand::kScratch, foreign * whole_lines(own.elements())};
}

/// The sum of `own` of all pieces, in piece 0.
void TreeMessages::add_all_pieces(ArenaRange own, TreeRounds& rounds) const {
  for (const TreeEdge& edge : edges_) {
    const bool is_last = &edge == &edges_.back();
    const TreeOperand left = item_at(edge.left, own);
    rounds.add(is_last ? TreeOperand{0, own.begin} : left, left, item_at(edge.right, own), own.elements());
  }
}

/// Everybody's pieces to everybody. With halving ranks log2(W) rounds of whole vectors, else one round of messages.
void TreeMessages::exchange_whole(ArenaRange range, TreeRounds& rounds) const {
  const std::int64_t count = range.elements();
  if (!halving_) {
    collect_slices({range, range.elements(), 1}, rounds);
    return;
  }
  const TreeOperand own{0, range.begin}, received{};
  for (int distance = 1; distance < ranks_; distance <<= 1) {
    rounds.send(rank_ ^ distance, own, count);
    rounds.receive(rank_ ^ distance, received, count);
    rounds.add(own, own, received, count);
    rounds.end_round();
  }
}

/// After the round at distance d a rank holds sums over 2d ranks of 1/(2d) of the range.
void TreeMessages::halve(const Slicing& slicing, TreeRounds& rounds) const {
  int first = 0, last = ranks_;
  for (int distance = 1; distance < ranks_; distance <<= 1) {
    const int partner = rank_ ^ distance, middle = (first + last) / 2;
    const bool keeps_lower = (rank_ & distance) == 0;
    const ArenaRange lower = slicing.at(first, middle), upper = slicing.at(middle, last);
    const ArenaRange mine = keeps_lower ? lower : upper, theirs = keeps_lower ? upper : lower;
    const TreeOperand own{0, mine.begin}, received{};
    rounds.send(partner, {0, theirs.begin}, theirs.elements());
    rounds.receive(partner, received, mine.elements());
    rounds.add(own, own, received, mine.elements());
    rounds.end_round();
    (keeps_lower ? last : first) = middle;
  }
}

void TreeMessages::double_back(const Slicing& slicing, TreeRounds& rounds) const {
  int first = reversed_bits(rank_, ranks_), last = first + 1;
  for (int distance = ranks_ / 2; distance >= 1; distance >>= 1) {
    const int partner = rank_ ^ distance, width = last - first;
    const bool has_lower = (rank_ & distance) == 0;
    const ArenaRange mine = slicing.at(first, last);
    const ArenaRange theirs = has_lower ? slicing.at(last, last + width) : slicing.at(first - width, first);
    rounds.send(partner, {0, mine.begin}, mine.elements());
    rounds.receive(partner, {0, theirs.begin}, theirs.elements());
    rounds.end_round();
    if (has_lower) {
      last += width;
    } else {
      first -= width;
    }
  }
}

/// With one slice instead of one a rank everybody gets all of the range.
void TreeMessages::collect_slices(const Slicing& slicing, TreeRounds& rounds) const {
  const auto slice_for = [&](int rank) { return slicing.slices == 1 ? slicing.range : owned(slicing, rank); };
  const ArenaRange own = slice_for(rank_);
  int item = 0;
  for (int peer = 0; peer < ranks_; ++peer) {
    const int pieces = pieces_of_[static_cast<std::size_t>(peer)];
    if (peer != rank_) {
      for (int piece = 0; piece < pieces; ++piece) rounds.receive(peer, item_at(item + piece, own), own.elements());
      const ArenaRange theirs = slice_for(peer);
      for (int piece = 0; piece < static_cast<int>(own_pieces_.size()); ++piece) {
        rounds.send(peer, {piece, theirs.begin}, theirs.elements());
      }
    }
    item += pieces;
  }
  add_all_pieces(own, rounds);
  rounds.end_round();
}

void TreeMessages::spread_slices(const Slicing& slicing, TreeRounds& rounds) const {
  const ArenaRange own = owned(slicing, rank_);
  for (int peer = 0; peer < ranks_; ++peer) {
    if (peer == rank_) continue;
    const ArenaRange theirs = owned(slicing, peer);
    rounds.send(peer, {0, own.begin}, own.elements());
    rounds.receive(peer, {0, theirs.begin}, theirs.elements());
  }
  rounds.end_round();
}

}  // namespace athanor
