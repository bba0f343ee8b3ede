#include "comm/tree_reduction.h"

#include <algorithm>

#include "base/error.h"
#include "kernels/reduce.h"

namespace athanor {
namespace {

/// Below this many bytes a message costs more by being one than by its length.
constexpr std::int64_t kSmallBytes = 2 << 10;
/// Slices of all_reduce begin on cache lines.
constexpr std::int64_t kLineElements = 16;

std::int64_t bytes_of(std::int64_t elements) {
  return elements * static_cast<std::int64_t>(sizeof(float));
}

std::vector<std::vector<ShardRange>> pieces_by_rank(int shards, int ranks) {
  std::vector<std::vector<ShardRange>> pieces;
  for (int rank = 0; rank < ranks; ++rank) pieces.push_back(subtrees_of(shards, shards_of_rank(shards, rank, ranks)));
  return pieces;
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

std::int64_t segment_of(const Communicator& communicator) {
  const bool on_one_host = communicator.local_size() == communicator.size();
  return on_one_host ? TreeReduction::kSegmentOnOneHost : TreeReduction::kSegmentAmongHosts;
}

std::size_t count_pieces(const std::vector<std::vector<ShardRange>>& pieces_of) {
  std::size_t count = 0;
  for (const std::vector<ShardRange>& pieces : pieces_of) count += pieces.size();
  return count;
}

/// The slice that a rank owns after halving, nearest partner first: the bits of its number in reverse.
int reversed_bits(int rank, int ranks) {
  int reversed = 0;
  for (int bit = 1; bit < ranks; bit <<= 1) reversed = (reversed << 1) | ((rank & bit) != 0 ? 1 : 0);
  return reversed;
}

/// IEEE addition commutes, so it does not matter which operand was the left one; only which pairs are added does.
void add(float* sum, const float* other, std::int64_t count) {
  kernels::reduce_kernels().add_into(sum, other, count, 1);
}

}  // namespace

std::int64_t TreeReduction::scratch_elements(int shards, const Communicator& communicator, std::int64_t largest) {
  const int ranks = communicator.size();
  if (ranks == 1) return 0;
  const ShardRange own = shards_of_rank(shards, communicator.rank(), ranks);
  const std::vector<std::vector<ShardRange>> pieces_of = pieces_by_rank(shards, ranks);
  const auto pieces = static_cast<std::int64_t>(count_pieces(pieces_of));
  const std::int64_t foreign = pieces - static_cast<std::int64_t>(subtrees_of(shards, own).size());
  const std::int64_t small = foreign * (kSmallBytes / bytes_of(1));
  largest = std::max(largest, segment_of(communicator));
  const std::int64_t blocks = (largest + kernels::kSumBlock - 1) / kernels::kSumBlock + 1;
  const std::int64_t shares = can_halve(shards, pieces_of) ? 2 : ranks;
  const std::int64_t slice = ((blocks + shares - 1) / shares + 1) * kernels::kSumBlock;
  return std::max(small, shares == 2 ? slice : foreign * slice);
}

TreeReduction::TreeReduction(Communicator& communicator, int shards, std::int64_t largest)
    : communicator_(communicator),
      rank_(communicator.rank()),
      ranks_(communicator.size()),
      pieces_of_(pieces_by_rank(shards, ranks_)),
      own_pieces_(pieces_of_[static_cast<std::size_t>(rank_)]),
      halving_(can_halve(shards, pieces_of_)),
      small_elements_(kSmallBytes / bytes_of(1)),
      segment_elements_(segment_of(communicator)) {
  std::vector<ShardRange> all;
  for (const std::vector<ShardRange>& pieces : pieces_of_) all.insert(all.end(), pieces.begin(), pieces.end());
  edges_ = edges_over(shards, all);
  items_.resize(all.size());
  scratch_.resize(static_cast<std::size_t>(scratch_elements(shards, communicator, largest)));
  sends_.reserve(all.size() * static_cast<std::size_t>(ranks_));
  receives_.reserve(sends_.capacity());
}

void TreeReduction::exchange(const char* name) {
  for (const SendPart& part : sends_) bytes_sent_ += static_cast<std::int64_t>(part.bytes);
  communicator_.exchange(sends_, receives_, name);
  sends_.clear();
  receives_.clear();
}

bool TreeReduction::is_small(ArenaRange range) const {
  return range.elements() <= small_elements_;
}

ArenaRange Slicing::at(int first, int last) const {
  const std::int64_t first_grain = range.begin / grain, grains = (range.end + grain - 1) / grain - first_grain;
  const auto edge = [&](int slice) {
    return std::clamp((first_grain + grains * slice / slices) * grain, range.begin, range.end);
  };
  return {edge(first), edge(last)};
}

ArenaRange TreeReduction::owned(const Slicing& slicing, int rank) const {
  const int slice = halving_ ? reversed_bits(rank, ranks_) : rank;
  return slicing.at(slice, slice + 1);
}

ArenaRange TreeReduction::slice_of(ArenaRange range, int rank) const {
  return owned({range, kernels::kSumBlock, ranks_}, rank);
}

void TreeReduction::all_reduce(std::span<float* const> pieces, ArenaRange range, const char* name) {
  ATHANOR_CHECK(pieces.size() == own_pieces_.size());
  if (ranks_ == 1 || range.elements() == 0) return;
  if (is_small(range)) {
    reduce_small(pieces, range, name);
    return;
  }
  for (std::int64_t begin = range.begin; begin < range.end; begin += segment_elements_) {
    const ArenaRange segment{begin, std::min(begin + segment_elements_, range.end)};
    const Slicing slicing{segment, kLineElements, ranks_};
    scatter(pieces, slicing, name);
    gather(pieces[0], slicing, name);
  }
}

void TreeReduction::reduce_scatter(std::span<float* const> pieces, ArenaRange range, const char* name) {
  ATHANOR_CHECK(pieces.size() == own_pieces_.size());
  if (ranks_ > 1 && range.elements() > 0) scatter(pieces, {range, kernels::kSumBlock, ranks_}, name);
}

void TreeReduction::all_gather(float* arena, ArenaRange range, const char* name) {
  if (ranks_ > 1 && range.elements() > 0) gather(arena, {range, kernels::kSumBlock, ranks_}, name);
}

void TreeReduction::scatter(std::span<float* const> pieces, const Slicing& slicing, const char* name) {
  if (halving_) {
    halve(pieces[0], slicing, name);
  } else {
    collect_slices(pieces, slicing, name);
  }
}

void TreeReduction::gather(float* arena, const Slicing& slicing, const char* name) {
  if (halving_) {
    double_back(arena, slicing, name);
  } else {
    spread_slices(arena, slicing, name);
  }
}

/// `items`: one vector for each piece of all ranks, in order. The sum is in the first.
void TreeReduction::add_along_tree(std::span<float*> items, std::int64_t count) {
  for (const TreeEdge& edge : edges_) {
    add(items[static_cast<std::size_t>(edge.left)], items[static_cast<std::size_t>(edge.right)], count);
  }
}

/// Everybody's pieces to everybody. With halving ranks log2(W) rounds of whole vectors, else one round of messages.
void TreeReduction::reduce_small(std::span<float* const> pieces, ArenaRange range, const char* name) {
  const std::int64_t count = range.elements();
  const auto bytes = static_cast<std::size_t>(bytes_of(count));
  if (halving_) {
    float* own = pieces[0] + range.begin;
    for (int distance = 1; distance < ranks_; distance <<= 1) {
      const int partner = rank_ ^ distance;
      sends_.push_back({partner, own, bytes});
      receives_.push_back({partner, scratch_.data(), bytes});
      exchange(name);
      add(own, scratch_.data(), count);
    }
    return;
  }
  std::size_t item = 0, foreign = 0;
  for (int peer = 0; peer < ranks_; ++peer) {
    for (std::size_t piece = 0; piece < pieces_of_[static_cast<std::size_t>(peer)].size(); ++piece, ++item) {
      if (peer == rank_) {
        items_[item] = pieces[piece] + range.begin;
        continue;
      }
      items_[item] = scratch_.data() + static_cast<std::int64_t>(foreign++) * count;
      receives_.push_back({peer, items_[item], bytes});
    }
    if (peer == rank_) continue;
    for (float* piece : pieces) sends_.push_back({peer, piece + range.begin, bytes});
  }
  exchange(name);
  add_along_tree(items_, count);
  if (items_[0] != pieces[0] + range.begin) std::copy_n(items_[0], count, pieces[0] + range.begin);
}

/// After the round at distance d a rank holds sums over 2d ranks of 1/(2d) of the range.
void TreeReduction::halve(float* arena, const Slicing& slicing, const char* name) {
  int first = 0, last = ranks_;
  for (int distance = 1; distance < ranks_; distance <<= 1) {
    const int partner = rank_ ^ distance, middle = (first + last) / 2;
    const bool keeps_lower = (rank_ & distance) == 0;
    const ArenaRange lower = slicing.at(first, middle), upper = slicing.at(middle, last);
    const ArenaRange mine = keeps_lower ? lower : upper, theirs = keeps_lower ? upper : lower;
    sends_.push_back({partner, arena + theirs.begin, static_cast<std::size_t>(bytes_of(theirs.elements()))});
    receives_.push_back({partner, scratch_.data(), static_cast<std::size_t>(bytes_of(mine.elements()))});
    exchange(name);
    add(arena + mine.begin, scratch_.data(), mine.elements());
    (keeps_lower ? last : first) = middle;
  }
}

void TreeReduction::double_back(float* arena, const Slicing& slicing, const char* name) {
  int first = reversed_bits(rank_, ranks_), last = first + 1;
  for (int distance = ranks_ / 2; distance >= 1; distance >>= 1) {
    const int partner = rank_ ^ distance, width = last - first;
    const bool has_lower = (rank_ & distance) == 0;
    const ArenaRange mine = slicing.at(first, last);
    const ArenaRange theirs = has_lower ? slicing.at(last, last + width) : slicing.at(first - width, first);
    sends_.push_back({partner, arena + mine.begin, static_cast<std::size_t>(bytes_of(mine.elements()))});
    receives_.push_back({partner, arena + theirs.begin, static_cast<std::size_t>(bytes_of(theirs.elements()))});
    exchange(name);
    if (has_lower) {
      last += width;
    } else {
      first -= width;
    }
  }
}

void TreeReduction::collect_slices(std::span<float* const> pieces, const Slicing& slicing, const char* name) {
  const ArenaRange own = owned(slicing, rank_);
  const std::int64_t count = own.elements();
  std::size_t item = 0, foreign = 0;
  for (int peer = 0; peer < ranks_; ++peer) {
    for (std::size_t piece = 0; piece < pieces_of_[static_cast<std::size_t>(peer)].size(); ++piece, ++item) {
      if (peer == rank_) {
        items_[item] = pieces[piece] + own.begin;
        continue;
      }
      items_[item] = scratch_.data() + static_cast<std::int64_t>(foreign++) * count;
      receives_.push_back({peer, items_[item], static_cast<std::size_t>(bytes_of(count))});
    }
    if (peer == rank_) continue;
    const ArenaRange theirs = owned(slicing, peer);
    for (float* piece : pieces) {
      sends_.push_back({peer, piece + theirs.begin, static_cast<std::size_t>(bytes_of(theirs.elements()))});
    }
  }
  exchange(name);
  add_along_tree(items_, count);
  if (items_[0] != pieces[0] + own.begin) std::copy_n(items_[0], count, pieces[0] + own.begin);
}

void TreeReduction::spread_slices(float* arena, const Slicing& slicing, const char* name) {
  const ArenaRange own = owned(slicing, rank_);
  for (int peer = 0; peer < ranks_; ++peer) {
    if (peer == rank_) continue;
    const ArenaRange theirs = owned(slicing, peer);
    sends_.push_back({peer, arena + own.begin, static_cast<std::size_t>(bytes_of(own.elements()))});
    receives_.push_back({peer, arena + theirs.begin, static_cast<std::size_t>(bytes_of(theirs.elements()))});
  }
  exchange(name);
}

}  // namespace athanor
