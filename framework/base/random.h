// Random numbers that are keyed, never sequenced: every number is a pure function of (seed, purpose, a, b, position),
// so no result depends on rank, thread or time. Generator: Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers:
// as easy as 1, 2, 3").
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <string_view>

namespace athanor {

/// What a number is for; two purposes never share numbers. Values are part of every result: never renumber.
enum class Purpose : std::uint32_t {
  initialize = 1,
  shuffle = 2,
  crop = 3,
  flip = 4,
  cutout = 5,
  dropout = 6,
  stochastic_depth = 7,
  glyphs = 8,
  split = 9,
  test = 10,
};

/// One Philox4x32-10 block: 128 random bits for a 128-bit counter under a 64-bit key.
constexpr std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> counter, std::array<std::uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t product0 = std::uint64_t{0xD2511F53u} * counter[0];
    const std::uint64_t product1 = std::uint64_t{0xCD9E8D57u} * counter[2];
    counter = {static_cast<std::uint32_t>(product1 >> 32) ^ counter[1] ^ key[0], static_cast<std::uint32_t>(product1),
               static_cast<std::uint32_t>(product0 >> 32) ^ counter[3] ^ key[1], static_cast<std::uint32_t>(product0)};
    key[0] += 0x9E3779B9u;
    key[1] += 0xBB67AE85u;
  }
  return counter;
}

/// A 64-bit hash of a name (FNV-1a), to key a stream by parameter name.
constexpr std::uint64_t key_of(std::string_view name) {
  std::uint64_t hash = 0xcbf29ce484222325ull;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ull;
  return hash;
}

/// A uniform float in [0, 1) from 24 random bits.
constexpr float uniform_from(std::uint32_t bits) {
  return static_cast<float>(bits >> 8) * 0x1p-24f;
}

/// The stream of numbers for (seed, purpose, a, b), for example (seed, crop, epoch, sample index).
/// `a` may be up to 2^32 − 1; `b` takes all 64 bits.
class RandomStream {
 public:
  constexpr RandomStream(std::uint64_t seed, Purpose purpose, std::uint64_t a, std::uint64_t b)
      : key_{static_cast<std::uint32_t>(seed) ^ (static_cast<std::uint32_t>(purpose) * 0x85EBCA6Bu),
             static_cast<std::uint32_t>(seed >> 32) + static_cast<std::uint32_t>(purpose)},
        a_(static_cast<std::uint32_t>(a)),
        b_low_(static_cast<std::uint32_t>(b)),
        b_high_(static_cast<std::uint32_t>(b >> 32)) {}

  /// Four numbers of block `block`; any block can be asked for in any order.
  constexpr std::array<std::uint32_t, 4> block(std::uint32_t block) const {
    return philox({block, a_, b_low_, b_high_}, key_);
  }

  std::uint32_t next() {
    if (position_ % 4 == 0) current_ = block(position_ / 4);
    return current_[position_++ % 4];
  }
  /// Uniform in [0, 1).
  float uniform() { return uniform_from(next()); }
  /// Uniform in [low, high).
  float uniform(float low, float high) { return low + (high - low) * uniform(); }
  /// Uniform integer in [0, count), count ≤ 2^32 (multiply-shift; bias below count / 2^32).
  std::uint32_t below(std::uint32_t count) { return static_cast<std::uint32_t>((std::uint64_t{next()} * count) >> 32); }
  /// Standard normal (Box and Muller 1958), two numbers a call.
  float normal() {
    const double radius = std::sqrt(-2.0 * std::log((next() + 1.0) * 0x1p-32));
    return static_cast<float>(radius * std::cos(2.0 * std::numbers::pi * (next() * 0x1p-32)));
  }

 private:
  std::array<std::uint32_t, 2> key_;
  std::uint32_t a_, b_low_, b_high_;
  std::uint32_t position_ = 0;
  std::array<std::uint32_t, 4> current_{};
};

}  // namespace athanor
