#include "models/initialize.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "base/random.h"

namespace athanor {
namespace {

using Block = std::array<float, 4>;

/// Four uniform numbers in [−bound, bound).
Block uniform_block(const std::array<std::uint32_t, 4>& bits, float bound) {
  Block numbers;
  for (std::size_t i = 0; i < 4; ++i) numbers[i] = (2.0f * uniform_from(bits[i]) - 1.0f) * bound;
  return numbers;
}

/// Four normal numbers with mean 0 (Box and Muller 1958): both halves of two pairs.
Block normal_block(const std::array<std::uint32_t, 4>& bits, double deviation) {
  Block numbers;
  for (std::size_t i = 0; i < 4; i += 2) {
    const double radius = deviation * std::sqrt(-2.0 * std::log((bits[i] + 1.0) * 0x1p-32));
    const double angle = 2.0 * std::numbers::pi * (bits[i + 1] * 0x1p-32);
    numbers[i] = static_cast<float>(radius * std::cos(angle));
    numbers[i + 1] = static_cast<float>(radius * std::sin(angle));
  }
  return numbers;
}

}  // namespace

void initialize(const Value& value, std::uint64_t seed, std::span<float> out) {
  ATHANOR_CHECK(static_cast<std::int64_t>(out.size()) == value.shape.elements(), "{} has {} elements, not {}",
                value.name, value.shape.elements(), out.size());
  const Initializer& start = value.initializer;
  if (start.kind == "constant") {
    std::fill(out.begin(), out.end(), static_cast<float>(start.value));
    return;
  }
  ATHANOR_CHECK(start.kind == "uniform" || start.kind == "normal", "no initializer '{}'", start.kind);
  const bool is_normal = start.kind == "normal";
  const RandomStream stream(seed, Purpose::initialize, 0, key_of(value.name));
  for (std::size_t at = 0; at < out.size(); at += 4) {
    const auto bits = stream.block(static_cast<std::uint32_t>(at / 4));
    const Block numbers =
        is_normal ? normal_block(bits, start.bound) : uniform_block(bits, static_cast<float>(start.bound));
    std::copy_n(numbers.begin(), std::min<std::size_t>(4, out.size() - at),
                out.begin() + static_cast<std::ptrdiff_t>(at));
  }
}

}  // namespace athanor
