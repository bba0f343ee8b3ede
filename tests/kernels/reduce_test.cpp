#include "kernels/reduce.h"

#include <limits>

#include "kernels/kernel_testing.h"

namespace athanor::kernels::testing {
namespace {

TEST(Reduce, TreeSplitsAtTheLargestPowerOfTwoBelow) {
  // 1 + (2^24 and three ones): the grouping ((a+b)+(c+d))+e shows in the rounding.
  const std::vector<float> values{0x1p24f, 1, 1, 1, 1};
  const float left = (values[0] + values[1]) + (values[2] + values[3]);
  EXPECT_EQ(tree_sum(values.data(), 5), left + values[4]);
  EXPECT_EQ(tree_sum(values.data(), 3), (values[0] + values[1]) + values[2]);
  EXPECT_EQ(tree_sum(values.data(), 0), 0);
}

TEST(Reduce, SumsMatchDoubleAndDoNotDependOnThreads) {
  for (const Isa isa : isas()) {
    for (const std::int64_t count : {0, 1, 15, 4096, 4097, 100003}) {
      const auto x = random_floats(count, 9, 0.1);
      double sum = 0, squares = 0, terms = 0, square_terms = 0;
      for (const double v : x) {
        sum += v;
        squares += v * v;
        terms += v * v;
        square_terms += v * v * v * v;
      }
      std::vector<double> scratch(static_cast<std::size_t>(sum_blocks(count)) + 1);
      const auto& k = reduce_kernels(isa);
      const double one = k.sum(x.data(), count, scratch.data(), 1);
      EXPECT_EQ(one, k.sum(x.data(), count, scratch.data(), 3));
      const double bound = 8 * 0x1p-24 * std::sqrt(static_cast<double>(count));
      EXPECT_NEAR(one, sum, bound * std::sqrt(terms));
      EXPECT_NEAR(k.sum_of_squares(x.data(), count, scratch.data(), 2), squares, bound * std::sqrt(square_terms));
    }
  }
}

TEST(Reduce, AddIntoAddsEveryElementOnce) {
  for (const Isa isa : isas()) {
    for (const std::int64_t count : {1, 17, 50001}) {
      auto a = random_floats(count, 1), want = a;
      const auto b = random_floats(count, 2);
      for (std::size_t i = 0; i < b.size(); ++i) want[i] = a[i] + b[i];
      reduce_kernels(isa).add_into(a.data(), b.data(), count, 2);
      EXPECT_EQ(a, want);
    }
  }
}

TEST(Reduce, IsFiniteFindsOneBadElementAnywhere) {
  for (const Isa isa : isas()) {
    auto x = random_floats(30000, 1);
    x[5] = std::numeric_limits<float>::max();
    const auto finite = [&](int threads) { return reduce_kernels(isa).is_finite(x.data(), 30000, threads); };
    EXPECT_TRUE(finite(1));
    EXPECT_TRUE(finite(3));
    for (const std::size_t at : {std::size_t{0}, std::size_t{12345}, std::size_t{29999}}) {
      const float kept = x[at];
      for (const float bad : {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
        x[at] = bad;
        EXPECT_FALSE(finite(1));
        EXPECT_FALSE(finite(3));
      }
      x[at] = kept;
    }
  }
}

}  // namespace
}  // namespace athanor::kernels::testing
