#include "train/weights_hash.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace athanor {
namespace {

NamedTensor tensor(std::string name, Shape shape, std::vector<float> values) {
  return {std::move(name), shape,
          [values](std::span<float> out) { std::copy(values.begin(), values.end(), out.begin()); }};
}

std::string hash(std::vector<NamedTensor> tensors) {
  return weights_sha256(tensors);
}

// Known answers were made with Python's hashlib and struct from the encoding that the header states.
TEST(WeightsHash, NothingIsTheHashOfNothing) {
  EXPECT_EQ(hash({}), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST(WeightsHash, FollowsTheWrittenEncodingInByteOrderOfTheNames) {
  const auto weight = tensor("a.weight", {2, 1, 1, 3}, {1, -2, 0.5f, 3.25f, -0.0f, 1e-40f});
  const auto bias = tensor("B.bias", {2}, {0, 7});
  const auto utf8 = tensor("\xc3\xa9", {}, {42});
  const std::string want = "5b858d1e2285f1053de300157d98d1ffecf3e62337c9d9f8f254df64f9dfb2a5";
  EXPECT_EQ(hash({weight, bias, utf8}), want);
  EXPECT_EQ(hash({utf8, bias, weight}), want);
}

TEST(WeightsHash, EveryPartCounts) {
  const std::string base = hash({tensor("a", {2, 3}, {1, 2, 3, 4, 5, 6})});
  EXPECT_NE(hash({tensor("b", {2, 3}, {1, 2, 3, 4, 5, 6})}), base);
  EXPECT_NE(hash({tensor("a", {3, 2}, {1, 2, 3, 4, 5, 6})}), base);
  EXPECT_NE(hash({tensor("a", {1, 2, 3}, {1, 2, 3, 4, 5, 6})}), base);
  EXPECT_NE(hash({tensor("a", {2, 3}, {1, 2, 3, 4, 5, 7})}), base);
  EXPECT_NE(hash({tensor("a", {2}, {0, 1})}), hash({tensor("a", {2}, {-0.0f, 1})}));
}

}  // namespace
}  // namespace athanor
