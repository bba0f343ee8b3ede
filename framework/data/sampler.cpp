#include "data/sampler.h"

#include "base/error.h"

namespace athanor {
namespace {

/// Finalizer of SplitMix64 (Steele, Lea, Flood 2014): every input bit changes every output bit with probability 1/2.
std::uint64_t mix(std::uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}

/// (value + a hash of (other, key), uniform below extent) modulo extent, for extent ≤ 2^31; without the slow division.
std::uint64_t shifted(std::uint64_t value, std::uint64_t other, std::uint64_t key, std::uint64_t extent) {
  const std::uint64_t sum = value + ((mix(other ^ key) >> 32) * extent >> 32);
  return sum >= extent ? sum - extent : sum;
}

/// The smallest r with r·r ≥ n, in integers, so that it is the same everywhere.
std::uint64_t ceil_sqrt(std::uint64_t n) {
  std::uint64_t root = 0;
  for (std::uint64_t bit = std::uint64_t{1} << 31; bit > 0; bit >>= 1) {
    if ((root + bit) * (root + bit) <= n) root += bit;
  }
  return root * root == n ? root : root + 1;
}

}  // namespace

Permutation::Permutation(std::uint64_t seed, Purpose purpose, std::uint64_t key, std::uint64_t size) : size_(size) {
  ATHANOR_CHECK(size >= 1 && size <= std::uint64_t{1} << 62, "size {}", size);
  rows_ = ceil_sqrt(size);
  columns_ = (size + rows_ - 1) / rows_;
  RandomStream stream(seed, purpose, key, size);
  for (std::uint64_t& round_key : keys_) {
    const std::uint64_t high = stream.next();
    round_key = high << 32 | stream.next();
  }
}

std::uint64_t Permutation::operator()(std::uint64_t position) const {
  do {
    std::uint64_t row = position / columns_;
    std::uint64_t column = position % columns_;
    for (std::size_t round = 0; round < kRounds; round += 2) {
      row = shifted(row, column, keys_[round], rows_);
      column = shifted(column, row, keys_[round + 1], columns_);
    }
    position = row * columns_ + column;
  } while (position >= size_);
  return position;
}

Permutation epoch_order(std::uint64_t seed, std::uint64_t epoch, std::uint64_t size) {
  return {seed, Purpose::shuffle, epoch, size};
}

std::uint64_t sample_at(std::uint64_t seed, std::uint64_t epoch, std::uint64_t position, std::uint64_t size) {
  return epoch_order(seed, epoch, size)(position);
}

}  // namespace athanor
