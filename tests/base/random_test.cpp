#include "base/random.h"

#include <gtest/gtest.h>

namespace athanor {
namespace {

// Known-answer vectors published with Random123 (kat_vectors, philox4x32 10).
TEST(Philox, MatchesPublishedVectors) {
  const std::array<std::uint32_t, 4> zeros = philox({0, 0, 0, 0}, {0, 0});
  EXPECT_EQ(zeros, (std::array<std::uint32_t, 4>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  const std::uint32_t ones = 0xffffffff;
  const std::array<std::uint32_t, 4> full = philox({ones, ones, ones, ones}, {ones, ones});
  EXPECT_EQ(full, (std::array<std::uint32_t, 4>{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
}

TEST(RandomStream, DependsOnEveryPartOfItsKey) {
  const auto first = [](std::uint64_t seed, Purpose purpose, std::uint64_t a, std::uint64_t b) {
    return RandomStream(seed, purpose, a, b).next();
  };
  const std::uint32_t base = first(1, Purpose::crop, 2, 3);
  EXPECT_EQ(base, first(1, Purpose::crop, 2, 3));
  EXPECT_NE(base, first(2, Purpose::crop, 2, 3));
  EXPECT_NE(base, first(1, Purpose::flip, 2, 3));
  EXPECT_NE(base, first(1, Purpose::crop, 3, 3));
  EXPECT_NE(base, first(1, Purpose::crop, 2, std::uint64_t{3} << 32));
}

TEST(RandomStream, NormalHasUnitVariance) {
  RandomStream stream(7, Purpose::test, 0, 0);
  double sum = 0, squares = 0;
  constexpr int kCount = 100000;
  for (int i = 0; i < kCount; ++i) {
    const double x = stream.normal();
    sum += x;
    squares += x * x;
  }
  EXPECT_NEAR(sum / kCount, 0.0, 5.0 / std::sqrt(kCount));
  EXPECT_NEAR(squares / kCount, 1.0, 5.0 * std::sqrt(2.0 / kCount));
}

}  // namespace
}  // namespace athanor
