// Whole ranges of the flat float arenas on a GPU: the edges of the gradient tree, sums of squares, tests, hashes,
// exchanges. Everything in a fixed order.
#pragma once

#include <cstdint>

#include "base/dtype.h"
#include "kernels/host_device.h"
#include "kernels/reduce.h"

namespace athanor::kernels::cuda {

/// target = left + right, an edge of the gradient tree; right null: a copy. target may be left or right.
struct TreeAdd {
  const float* left = nullptr;
  const float* right = nullptr;
  float* target = nullptr;
  std::int64_t count = 0;
};

/// block_sums[b] = Σ values² over elements [b · kSumBlock, (b + 1) · kSumBlock), in double: squares are exact. Order:
/// thread t of 256 adds elements 4 (256 k + t) + j for k, then j, ascending; a warp's sums meet lane by lane at
/// distances 16, 8, 4, 2, 1; the 8 warps in order. The CPU adds in float, whose bits depend on its instruction set.
struct SumOfSquares {
  const float* values = nullptr;
  std::int64_t count = 0;
  double* block_sums = nullptr;  ///< [sum_blocks(count)]
};

/// Writes 0 to *is_finite where an element is infinite or NaN; else leaves it. dtype f32, bf16 or f16.
struct IsFinite {
  DType dtype = DType::f32;
  const void* values = nullptr;
  std::int64_t count = 0;
  std::int32_t* is_finite = nullptr;
};

/// The hash of one range: Σ hash_term(i, bits of element i) modulo 2^64.
struct HashRange {
  const void* data = nullptr;  ///< 4-byte elements, device
  std::int64_t count = 0;
};
ATHANOR_HOST_DEVICE inline std::uint64_t hash_term(std::int64_t i, std::uint32_t bits) {
  std::uint64_t z = bits + (static_cast<std::uint64_t>(i) + 1) * 0x9e3779b97f4a7c15ull;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}

/// hashes[r] = the hash of ranges[r].
struct HashBlocks {
  const HashRange* ranges = nullptr;  ///< device
  std::int32_t range_count = 0;
  std::uint64_t* hashes = nullptr;  ///< device or pinned
};

/// Exchanges two ranges, which do not overlap.
struct Swap {
  float* first = nullptr;
  float* second = nullptr;
  std::int64_t count = 0;
};

}  // namespace athanor::kernels::cuda
