// Sums whose bits depend on the data alone: fixed blocks of 4,096 elements, then one fixed binary tree over the blocks
// (n leaves are split at the largest power of two below n, recursively). The same on any number of threads; the bits
// inside a block are the instruction set's.
#pragma once

#include <cstdint>

#include "kernels/isa.h"

namespace athanor::kernels {

inline constexpr std::int64_t kSumBlock = 4096;

/// Blocks of `count` elements, ⌈count / kSumBlock⌉: the doubles of scratch that sum and sum_of_squares need.
constexpr std::int64_t sum_blocks(std::int64_t count) {
  return (count + kSumBlock - 1) / kSumBlock;
}

/// Σ values over the fixed tree; `count` = 0: 0.
float tree_sum(const float* values, std::int64_t count);
double tree_sum(const double* values, std::int64_t count);

struct ReduceKernels {
  /// a += b: one edge of the gradient tree. `a` is the left operand.
  void (*add_into)(float* a, const float* b, std::int64_t count, int threads);
  /// Σ x[i] in block order. `block_sums`: scratch of sum_blocks(count) doubles; holds the block sums afterwards, so
  /// that a sum over several ranges that start at multiples of kSumBlock can be continued with tree_sum.
  double (*sum)(const float* x, std::int64_t count, double* block_sums, int threads);
  /// Σ x[i]², likewise.
  double (*sum_of_squares)(const float* x, std::int64_t count, double* block_sums, int threads);
  /// Whether no element is infinite or NaN.
  bool (*is_finite)(const float* x, std::int64_t count, int threads);
};

const ReduceKernels& reduce_kernels(Isa isa = active_isa());

}  // namespace athanor::kernels
