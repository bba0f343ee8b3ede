// The order of an epoch as a function: which sample stands at a position, without a table, so that any rank can ask for
// any position at any time and a resume needs no state.
#pragma once

#include <array>
#include <cstdint>

#include "base/random.h"

namespace athanor {

/// A keyed permutation of [0, size). The positions are laid out as an a × b grid with a·b barely above `size`; ten
/// rounds shift a row by a hash of its column number and the reverse in turn (a Feistel network with addition: each
/// round can be undone, so the whole is a permutation of the grid); results outside [0, size) are sent round again
/// (cycle walking, Black and Rogaway 2002), which keeps it a permutation of [0, size). Round keys come from Philox.
class Permutation {
 public:
  /// Keyed by (seed, purpose, key); `key` below 2^32, `size` from 1 to 2^62.
  Permutation(std::uint64_t seed, Purpose purpose, std::uint64_t key, std::uint64_t size);
  /// Where `position` in [0, size) goes.
  std::uint64_t operator()(std::uint64_t position) const;
  std::uint64_t size() const { return size_; }

 private:
  static constexpr std::size_t kRounds = 10;

  std::uint64_t size_;
  std::uint64_t rows_;
  std::uint64_t columns_;
  std::array<std::uint64_t, kRounds> keys_;
};

/// The sample at `position` of epoch `epoch` (counted from 0) of a data set of `size` samples. Over all positions,
/// every sample once. A pure function; to ask for many positions of one epoch, keep a Permutation (epoch_order).
std::uint64_t sample_at(std::uint64_t seed, std::uint64_t epoch, std::uint64_t position, std::uint64_t size);

/// The permutation behind sample_at.
Permutation epoch_order(std::uint64_t seed, std::uint64_t epoch, std::uint64_t size);

}  // namespace athanor
