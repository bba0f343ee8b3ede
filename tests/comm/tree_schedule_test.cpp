#include "comm/tree_schedule.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "base/random.h"

namespace athanor {
namespace {

constexpr int kMaxShards = 17;
constexpr int kMaxLanes = 5;

/// The tree as the design defines it: split n leaves at the largest power of two below n, recursively.
template <typename Value, typename Add>
Value tree_sum(const std::vector<Value>& leaves, int first, int count, const Add& add) {
  if (count == 1) return leaves[static_cast<std::size_t>(first)];
  const int left = static_cast<int>(std::bit_floor(static_cast<unsigned>(count - 1)));
  return add(tree_sum(leaves, first, left, add), tree_sum(leaves, first + left, count - left, add));
}

/// Runs a schedule as a rank does: the lanes' buffers are overwritten in each wave.
template <typename Value, typename Add>
Value run_schedule(const TreeSchedule& schedule, int lanes, const std::vector<Value>& leaves, const Add& add) {
  std::vector<Value> buffers(static_cast<std::size_t>(schedule.buffers));
  const auto at = [&](int index) -> Value& { return buffers.at(static_cast<std::size_t>(index)); };
  std::size_t next = 0;
  for (const std::vector<Merge>& wave : schedule.waves) {
    for (int lane = 0; lane < lanes && next < leaves.size(); ++lane) at(lane) = leaves[next++];
    for (const Merge& merge : wave) {
      at(merge.target) = merge.right < 0 ? at(merge.left) : add(at(merge.left), at(merge.right));
    }
  }
  return at(schedule.pieces.front().buffer);
}

template <typename Check>
void for_each_case(const Check& check) {
  for (int shards = 1; shards <= kMaxShards; ++shards) {
    for (int lanes = 1; lanes <= kMaxLanes; ++lanes) {
      SCOPED_TRACE(std::to_string(shards) + " shards on " + std::to_string(lanes) + " lanes");
      check(shards, lanes, make_tree_schedule(shards, {0, shards}, lanes));
    }
  }
}

/// Floats of very different sizes, so that nearly every other order of adding them gives other bits.
std::vector<float> order_sensitive_floats(int count, std::uint64_t draw) {
  RandomStream stream(5, Purpose::test, draw, key_of("tree"));
  std::vector<float> values;
  for (int i = 0; i < count; ++i) values.push_back(std::ldexp(stream.uniform(-1.0f, 1.0f), stream.below(16)));
  return values;
}

TEST(TreeSchedule, SumsBitForBitAsTheRecursiveDefinition) {
  const auto add = [](float a, float b) { return a + b; };
  for_each_case([&](int shards, int lanes, const TreeSchedule& schedule) {
    for (std::uint64_t draw = 0; draw < 20; ++draw) {
      const std::vector<float> leaves = order_sensitive_floats(shards, draw);
      const float want = tree_sum(leaves, 0, shards, add);
      const float found = run_schedule(schedule, lanes, leaves, add);
      ASSERT_EQ(std::memcmp(&found, &want, sizeof want), 0) << found << " instead of " << want;
    }
  });
}

TEST(TreeSchedule, TheTestsFloatsTellOrdersApart) {
  const auto add = [](float a, float b) { return a + b; };
  for (int shards = 3; shards <= kMaxShards; ++shards) {
    int different = 0;
    for (std::uint64_t draw = 0; draw < 20; ++draw) {
      std::vector<float> leaves = order_sensitive_floats(shards, draw);
      const float sum = tree_sum(leaves, 0, shards, add);
      std::rotate(leaves.begin(), leaves.begin() + 1, leaves.end());
      different += tree_sum(leaves, 0, shards, add) != sum;
    }
    EXPECT_GT(different, 0) << shards;
  }
}

TEST(TreeSchedule, AddsInTheOrderOfTheTree) {
  const auto add = [](const std::string& a, const std::string& b) { return "(" + a + "+" + b + ")"; };
  for_each_case([&](int shards, int lanes, const TreeSchedule& schedule) {
    std::vector<std::string> leaves;
    for (int shard = 0; shard < shards; ++shard) leaves.push_back(std::to_string(shard));
    EXPECT_EQ(run_schedule(schedule, lanes, leaves, add), tree_sum(leaves, 0, shards, add));
  });
  std::vector<std::string> six = {"0", "1", "2", "3", "4", "5"};
  EXPECT_EQ(run_schedule(make_tree_schedule(6, {0, 6}, 2), 2, six, add), "(((0+1)+(2+3))+(4+5))");
}

TEST(TreeSchedule, NeedsFewAccumulatorsAndOneWavePerRound) {
  for_each_case([](int shards, int lanes, const TreeSchedule& schedule) {
    const int log2_rounded_up = std::bit_width(static_cast<unsigned>(shards - 1));
    EXPECT_LE(schedule.buffers - lanes, log2_rounded_up + 1);
    EXPECT_GE(schedule.buffers, lanes);
    EXPECT_GE(schedule.pieces.front().buffer, 0);
    EXPECT_LT(schedule.pieces.front().buffer, schedule.buffers);
    EXPECT_EQ(static_cast<int>(schedule.waves.size()), (shards + lanes - 1) / lanes);
  });
}

/// Follows which buffers hold a sum that is still needed.
TEST(TreeSchedule, NeverReadsALostSumNorOverwritesANeededOne) {
  for_each_case([](int shards, int lanes, const TreeSchedule& schedule) {
    std::vector<bool> needed(static_cast<std::size_t>(schedule.buffers), false);
    const auto is_needed = [&](int buffer) { return needed.at(static_cast<std::size_t>(buffer)); };
    int handed_in = 0;
    for (const std::vector<Merge>& wave : schedule.waves) {
      for (int lane = 0; lane < lanes && handed_in < shards; ++lane, ++handed_in) {
        EXPECT_FALSE(is_needed(lane)) << "the wave of shard " << handed_in << " overwrites lane " << lane;
        needed[static_cast<std::size_t>(lane)] = true;
      }
      for (const Merge& merge : wave) {
        EXPECT_TRUE(is_needed(merge.left)) << "buffer " << merge.left << " is read after its sum was used up";
        needed[static_cast<std::size_t>(merge.left)] = false;
        if (merge.right >= 0) {
          EXPECT_TRUE(is_needed(merge.right)) << "buffer " << merge.right << " is read after its sum was used up";
          needed[static_cast<std::size_t>(merge.right)] = false;
        }
        EXPECT_FALSE(is_needed(merge.target)) << "buffer " << merge.target << " is overwritten";
        needed[static_cast<std::size_t>(merge.target)] = true;
      }
    }
    EXPECT_EQ(handed_in, shards);
    EXPECT_EQ(std::count(needed.begin(), needed.end(), true), 1);
    EXPECT_TRUE(is_needed(schedule.pieces.front().buffer));
  });
}

}  // namespace
}  // namespace athanor
