// count_correct: ranks of labels, ties and masked samples.
#include <gtest/gtest.h>

#include <limits>
#include <vector>

#include "backend/cpu/op.h"
#include "graph/builder.h"

namespace athanor::cpu {
namespace {

struct Counted {
  std::vector<float> counts;
  std::vector<std::int32_t> ranks;
};

Counted count(std::vector<float> logits, std::vector<std::int32_t> labels) {
  Graph graph;
  Builder builder(graph);
  const auto batch = static_cast<std::int64_t>(labels.size());
  const auto classes = static_cast<std::int64_t>(logits.size()) / batch;
  const ValueId x = builder.input("logits", {batch, classes}, DType::f32);
  const ValueId l = builder.input("labels", {batch}, DType::i32);
  const ValueId y = builder.add1("count_correct", {x, l}, {});
  Counted result{std::vector<float>(2), std::vector<std::int32_t>(labels.size())};
  const std::vector<void*> inputs{logits.data(), labels.data()}, outputs{result.counts.data(), result.ranks.data()};
  const std::vector<Layout> plain(2, kPlain);
  find_cpu_op("count_correct")
      ->prepare({graph, graph.node(graph.value(y).producer), inputs, outputs, plain, plain, nullptr, 1, 0})();
  return result;
}

TEST(CountCorrect, CountsRanksBelowOneAndBelowFive) {
  const std::vector<float> row{6, 5, 4, 3, 2, 1};
  std::vector<float> logits;
  for (int n = 0; n < 3; ++n) logits.insert(logits.end(), row.begin(), row.end());
  const Counted counted = count(logits, {0, 4, 5});
  EXPECT_EQ(counted.ranks, (std::vector<std::int32_t>{0, 4, 5}));
  EXPECT_EQ(counted.counts, (std::vector<float>{1, 2}));
}

TEST(CountCorrect, TheLowerClassWinsATie) {
  EXPECT_EQ(count({1, 1, 1}, {0}).ranks[0], 0);
  EXPECT_EQ(count({1, 1, 1}, {2}).ranks[0], 2);
}

TEST(CountCorrect, MaskedSamplesCountNowhere) {
  const Counted counted = count({1, 0, 1, 0}, {-1, 0});
  EXPECT_EQ(counted.ranks, (std::vector<std::int32_t>{-1, 0}));
  EXPECT_EQ(counted.counts, (std::vector<float>{1, 1}));
}

TEST(CountCorrect, NanIsNeverCorrect) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(count({nan, 0, 0, 0, 0, 0}, {0}).counts, (std::vector<float>{0, 0}));
  EXPECT_EQ(count({nan, nan, nan, nan, nan, 3}, {5}).counts, (std::vector<float>{0, 0}));
}

}  // namespace
}  // namespace athanor::cpu
