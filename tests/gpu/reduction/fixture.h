// What the tests of sums between GPUs share: a plan that is nothing but buckets, and gradients whose sum tells in which
// order it was formed.
#pragma once

#include <cmath>
#include <cstring>
#include <vector>

#include "base/random.h"
#include "comm/tree.h"
#include "graph/plan.h"

namespace athanor::testing {

using Vector = std::vector<float>;

/// Buckets of such lengths, one behind the other; the last one is of what is not a parameter.
inline Plan bucket_plan(int shards, const std::vector<std::int64_t>& lengths) {
  Plan plan;
  plan.shards = shards;
  std::int64_t begin = 0;
  for (const std::int64_t length : lengths) {
    plan.reduce.push_back({.range = {begin, begin + length}});
    begin += length;
  }
  plan.parameter_elements = static_cast<std::size_t>(plan.reduce.back().range.begin);
  plan.output_elements = static_cast<std::size_t>(begin);
  return plan;
}

/// Numbers of very different sizes, so that another order of adding gives other bits.
inline Vector shard_vector(int shard, std::int64_t count, std::uint64_t seed = 3) {
  RandomStream stream(seed, Purpose::test, static_cast<std::uint64_t>(shard), key_of("device reduction"));
  Vector values;
  for (std::int64_t i = 0; i < count; ++i) values.push_back(std::ldexp(stream.uniform(-1.0f, 1.0f), stream.below(16)));
  return values;
}

/// The definition: split at the largest power of two below, recursively.
inline Vector tree_sum(int first, int last, std::int64_t count, std::uint64_t seed = 3) {
  if (last - first == 1) return shard_vector(first, count, seed);
  const int middle = first + left_leaves(last - first);
  Vector left = tree_sum(first, middle, count, seed);
  const Vector right = tree_sum(middle, last, count, seed);
  for (std::size_t i = 0; i < left.size(); ++i) left[i] = left[i] + right[i];
  return left;
}

inline bool same_bits(const Vector& a, const Vector& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

}  // namespace athanor::testing
