// The sum along the fixed tree has the same bits on any number of ranks as the recursive definition has on one, and
// moves no more bytes than it must.
#include "comm/tree_reduction.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "base/random.h"
#include "distributed/world.h"

namespace athanor::distributed_test {
namespace {

using Vector = std::vector<float>;

/// Numbers of very different sizes, so that another order of adding gives other bits.
Vector shard_vector(int shard, std::int64_t count) {
  RandomStream stream(3, Purpose::test, static_cast<std::uint64_t>(shard), key_of("tree reduction"));
  Vector values;
  for (std::int64_t i = 0; i < count; ++i) values.push_back(std::ldexp(stream.uniform(-1.0f, 1.0f), stream.below(16)));
  return values;
}

/// The definition: split at the largest power of two below, recursively.
Vector tree_sum(int first, int last, std::int64_t count) {
  if (last - first == 1) return shard_vector(first, count);
  const int middle = first + left_leaves(last - first);
  Vector left = tree_sum(first, middle, count);
  const Vector right = tree_sum(middle, last, count);
  for (std::size_t i = 0; i < left.size(); ++i) left[i] = left[i] + right[i];
  return left;
}

struct Pieces {
  std::vector<Vector> vectors;
  std::vector<float*> pointers;
};

Pieces own_pieces(const TreeReduction& tree, std::int64_t count) {
  Pieces pieces;
  for (const ShardRange& range : tree.own_pieces()) pieces.vectors.push_back(tree_sum(range.first, range.last, count));
  for (Vector& vector : pieces.vectors) pieces.pointers.push_back(vector.data());
  return pieces;
}

void expect_equal(const float* found, const float* want, std::int64_t count, const std::string& what) {
  EXPECT_EQ(std::memcmp(found, want, static_cast<std::size_t>(count) * sizeof(float)), 0) << what;
}

TEST(TreeReduction, HasTheBitsOfTheRecursiveDefinition) {
  for (int shards = world().size(); shards <= world().size() + 9; ++shards) {
    TreeReduction tree(world(), shards, 100'000);
    for (const std::int64_t count : {std::int64_t{1}, std::int64_t{17}, std::int64_t{600}, std::int64_t{40'001}}) {
      Pieces pieces = own_pieces(tree, count);
      tree.all_reduce(pieces.pointers, {0, count}, "test");
      expect_equal(pieces.vectors[0].data(), tree_sum(0, shards, count).data(), count,
                   fmt::format("{} shards on {} ranks, {} elements", shards, world().size(), count));
    }
  }
}

TEST(TreeReduction, LongVectorsGoInPartsWithTheSameBits) {
  const std::int64_t count = TreeReduction::kSegmentOnOneHost + 12'345;
  TreeReduction tree(world(), world().size(), 0);
  Pieces pieces = own_pieces(tree, count);
  tree.all_reduce(pieces.pointers, {0, count}, "test");
  expect_equal(pieces.vectors[0].data(), tree_sum(0, world().size(), count).data(), count, "a long vector");
}

TEST(TreeReduction, OwnersOfSlicesTogetherHoldTheSum) {
  const ArenaRange range{4096, 4096 * 23 + 100};
  const int shards = 2 * world().size() + 1;
  TreeReduction tree(world(), shards, range.elements());
  Pieces pieces = own_pieces(tree, range.end);
  tree.reduce_scatter(pieces.pointers, range, "test");
  const Vector want = tree_sum(0, shards, range.end);
  const ArenaRange own = tree.slice_of(range, world().rank());
  expect_equal(pieces.pointers[0] + own.begin, want.data() + own.begin, own.elements(), "the own slice");
  tree.all_gather(pieces.pointers[0], range, "test");
  expect_equal(pieces.pointers[0] + range.begin, want.data() + range.begin, range.elements(), "all slices");
  std::int64_t covered = 0;
  for (int rank = 0; rank < world().size(); ++rank) covered += tree.slice_of(range, rank).elements();
  EXPECT_EQ(covered, range.elements());
}

TEST(TreeReduction, MovesNoMoreBytesThanItMustWhereShardsAreEven) {
  const std::int64_t count = 16 * world().size() * 1000;
  TreeReduction tree(world(), world().size(), 0);
  Pieces pieces = own_pieces(tree, count);
  tree.all_reduce(pieces.pointers, {0, count}, "test");
  const std::int64_t bytes = count * 4;
  EXPECT_EQ(tree.bytes_sent(), 2 * (world().size() - 1) * bytes / world().size());
}

}  // namespace
}  // namespace athanor::distributed_test
