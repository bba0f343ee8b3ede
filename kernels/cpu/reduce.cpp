#include "kernels/reduce.h"

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/sums.h"

namespace athanor::kernels::ATHANOR_ISA {
namespace {

void add_into(float* a, const float* b, std::int64_t count, int threads) {
  parallel_ranges(threads, count, kElementGrain, [&](std::int64_t begin, std::int64_t end) {
    for_vectors(
        begin, end, [&](std::int64_t i, auto part) __attribute__((always_inline)) {
          store(a + i, load(a + i, part) + load(b + i, part), part);
        });
  });
}

template <typename F>
ATHANOR_INLINE double sum_blocks_of(const float* x, std::int64_t count, double* block_sums, int threads, F&& f) {
  const std::int64_t blocks = sum_blocks(count);
  parallel_items(threads, blocks, [&](std::int64_t block) {
    const std::int64_t begin = block * kSumBlock, left = count - begin;
    block_sums[block] = sum_block(
        begin,
        begin + (left < kSumBlock ? left : kSumBlock), [&](std::int64_t i, auto part) __attribute__((always_inline)) {
          return f(load(x + i, part));
        });
  });
  return tree_sum(block_sums, blocks);
}

double sum(const float* x, std::int64_t count, double* block_sums, int threads) {
  return sum_blocks_of(
      x, count, block_sums, threads, [](Vec v) __attribute__((always_inline)) { return v; });
}

double sum_of_squares(const float* x, std::int64_t count, double* block_sums, int threads) {
  return sum_blocks_of(
      x, count, block_sums, threads, [](Vec v) __attribute__((always_inline)) { return v * v; });
}

bool is_finite(const float* x, std::int64_t count, int threads) {
  int bad = 0;
  parallel_ranges(threads, count, kElementGrain, [&](std::int64_t begin, std::int64_t end) {
    // x − x is 0 for finite x and NaN otherwise, and a NaN stays in the sum.
    Vec sum{};
    for_vectors(
        begin, end, [&](std::int64_t i, auto part) __attribute__((always_inline)) {
          const Vec v = load(x + i, part);
          sum += v - v;
        });
    const float total = sum_of(sum);
    if (!(total == 0.0f)) __atomic_store_n(&bad, 1, __ATOMIC_RELAXED);
  });
  return bad == 0;
}

}  // namespace

extern const ReduceKernels reduce_table = {add_into, sum, sum_of_squares, is_finite};

}  // namespace athanor::kernels::ATHANOR_ISA
