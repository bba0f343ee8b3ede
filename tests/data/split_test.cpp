#include "data/split.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "base/error.h"
#include "base/random.h"

namespace athanor {
namespace {

/// Labels of uneven classes: class c is drawn with a probability that falls with c.
std::vector<std::int32_t> uneven_labels(std::size_t count) {
  std::vector<std::int32_t> labels(count);
  RandomStream random(4, Purpose::test, 0, 0);
  for (std::int32_t& label : labels) label = static_cast<std::int32_t>(random.below(1 + random.below(10)));
  return labels;
}

TEST(SplitIndices, KeepsEveryClassInProportion) {
  const auto labels = uneven_labels(5003);
  for (const std::int64_t validation : {1, 7, 500, 2501, 5002}) {
    const IndexSplit split = split_indices(labels, validation, 1);
    EXPECT_EQ(static_cast<std::int64_t>(split.validation.size()), validation);
    std::map<std::int32_t, double> all, held;
    for (const std::int32_t label : labels) ++all[label];
    for (const std::int64_t index : split.validation) ++held[labels[static_cast<std::size_t>(index)]];
    for (const auto& [label, count] : all) {
      EXPECT_LT(std::abs(held[label] - count * static_cast<double>(validation) / 5003), 1) << "class " << label;
    }
  }
}

TEST(SplitIndices, EverySampleIsOnOneSide) {
  const auto labels = uneven_labels(1000);
  const IndexSplit split = split_indices(labels, 300, 1);
  std::vector<std::int64_t> all;
  std::merge(split.train.begin(), split.train.end(), split.validation.begin(), split.validation.end(),
             std::back_inserter(all));
  ASSERT_EQ(all.size(), 1000u);
  for (std::size_t i = 0; i < all.size(); ++i) EXPECT_EQ(all[i], static_cast<std::int64_t>(i));
}

TEST(SplitIndices, DependsOnTheSeed) {
  const auto labels = uneven_labels(1000);
  EXPECT_EQ(split_indices(labels, 300, 1).validation, split_indices(labels, 300, 1).validation);
  EXPECT_NE(split_indices(labels, 300, 1).validation, split_indices(labels, 300, 2).validation);
}

TEST(SplitIndices, RefusesToHoldOutEverything) {
  const std::vector<std::int32_t> labels(10, 0);
  EXPECT_TRUE(split_indices(labels, 0, 1).validation.empty());
  EXPECT_THROW(split_indices(labels, 10, 1), UsageError);
  EXPECT_THROW(split_indices(labels, -1, 1), UsageError);
}

}  // namespace
}  // namespace athanor
