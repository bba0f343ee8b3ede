#include "data/sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <set>
#include <vector>

namespace athanor {
namespace {

std::vector<std::uint64_t> order_of(std::uint64_t seed, std::uint64_t epoch, std::uint64_t size) {
  std::vector<std::uint64_t> order;
  const Permutation permutation = epoch_order(seed, epoch, size);
  for (std::uint64_t k = 0; k < size; ++k) order.push_back(permutation(k));
  return order;
}

TEST(Sampler, VisitsEverySampleOnce) {
  for (const std::uint64_t size : {1,   2,   3,   4,   5,    7,    8,    9,    16,    17,    99,    100,
                                   101, 255, 256, 257, 1023, 1024, 4096, 9999, 10000, 60000, 65536, 65537}) {
    for (const std::uint64_t epoch : {0, 1, 2}) {
      std::vector<bool> seen(size, false);
      for (const std::uint64_t sample : order_of(5, epoch, size)) {
        ASSERT_LT(sample, size);
        ASSERT_FALSE(seen[sample]) << "sample " << sample << " twice, size " << size;
        seen[sample] = true;
      }
    }
  }
}

TEST(Sampler, HugeSizesStayInRange) {
  const std::uint64_t size = (std::uint64_t{1} << 40) + 12345;
  std::set<std::uint64_t> seen;
  for (std::uint64_t k = 0; k < 1000; ++k) seen.insert(sample_at(1, 2, k * 1000003, size));
  EXPECT_EQ(seen.size(), 1000u);
  EXPECT_LT(*seen.rbegin(), size);
}

TEST(Sampler, DependsOnSeedAndEpochAlone) {
  const auto base = order_of(5, 0, 60000);
  EXPECT_EQ(base, order_of(5, 0, 60000));
  EXPECT_NE(base, order_of(5, 1, 60000));
  EXPECT_NE(base, order_of(6, 0, 60000));
  EXPECT_EQ(base[123], sample_at(5, 0, 123, 60000));
}

TEST(Sampler, EpochsAreUnrelated) {
  // In two unrelated orders the number of samples at the same position is Poisson distributed with mean 1.
  const auto first = order_of(5, 0, 60000), second = order_of(5, 1, 60000);
  int same = 0;
  for (std::size_t k = 0; k < first.size(); ++k) same += first[k] == second[k];
  EXPECT_LT(same, 10);
}

TEST(Sampler, EverySampleComesToEveryPlaceEquallyOften) {
  // 20,000 keys, 10 samples: a cell of the 10×10 table expects 2,000; 6 standard deviations of a binomial count.
  constexpr std::uint64_t kSize = 10, kKeys = 20000;
  std::array<std::array<int, kSize>, kSize> table{};
  for (std::uint64_t epoch = 0; epoch < kKeys; ++epoch) {
    const auto order = order_of(9, epoch, kSize);
    for (std::size_t k = 0; k < kSize; ++k) ++table[k][order[k]];
  }
  const double expected = double{kKeys} / kSize;
  for (const auto& row : table) {
    for (const int count : row) EXPECT_NEAR(count, expected, 6 * std::sqrt(expected));
  }
}

TEST(Sampler, AllOrdersOfFourOccurEquallyOften) {
  constexpr std::uint64_t kKeys = 24000;
  std::map<std::vector<std::uint64_t>, int> counts;
  for (std::uint64_t epoch = 0; epoch < kKeys; ++epoch) ++counts[order_of(3, epoch, 4)];
  EXPECT_EQ(counts.size(), 24u);
  for (const auto& [order, count] : counts) EXPECT_NEAR(count, kKeys / 24, 6 * std::sqrt(kKeys / 24));
}

TEST(Sampler, NeighboursOfAnEpochAreFarApart) {
  // The mean distance of two uniform samples is size / 3, its standard deviation over 59,999 pairs under size · 0.0012.
  const auto order = order_of(5, 0, 60000);
  double sum = 0;
  for (std::size_t k = 1; k < order.size(); ++k) {
    sum += std::abs(static_cast<double>(order[k]) - static_cast<double>(order[k - 1]));
  }
  EXPECT_NEAR(sum / 59999 / 60000, 1.0 / 3, 6 * 0.0012);
}

}  // namespace
}  // namespace athanor
