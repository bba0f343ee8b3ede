#include "kernels/winograd_weights.h"

#include <algorithm>

#include "kernels/winograd_weights_blocks.h"

namespace athanor::kernels {
namespace {

constexpr std::int64_t kPositions = 36, kWidest = 16;

/// Up to here each thread may have all sums for itself (36 · 128 · 128 floats: 2.4 MB).
constexpr std::int64_t kSumsByRows = 128 * 128;

/// Tiles of a block: its transforms stay in the second cache with few channels, and its sums, which every block reads
/// and writes, stay rare with many. With very many channels rather all tiles: then slabs of sums suffice.
std::int64_t block_tiles(const WinogradShape& shape) {
  return shape.in_channels * shape.out_channels <= kSumsByRows ? 128 : 256;
}

/// Channels of a slab: its sums (36 · 64 · 32 floats) stay in the second cache.
constexpr std::int64_t kSlabIn = 64, kSlabOut = 32;

std::int64_t ceil_div(std::int64_t a, std::int64_t b) {
  return (a + b - 1) / b;
}

}  // namespace

WinogradWeightsBlocks winograd_weights_blocks(const WinogradShape& shape, int threads) {
  WinogradWeightsBlocks b;
  b.row_tiles = ceil_div(shape.out_width, 4);
  b.image_rows = ceil_div(shape.out_height, 4);
  b.rows = shape.batch * b.image_rows;
  b.by_rows = shape.in_channels * shape.out_channels <= kSumsByRows;
  b.parts = std::clamp<std::int64_t>(b.by_rows ? b.rows : shape.out_channels / kWidest, 1, std::max(threads, 1));
  const std::int64_t rows = b.by_rows ? ceil_div(b.rows, b.parts) : b.rows;
  // Parts end at multiples of a vector, whose width is not known here.
  const std::int64_t out = b.by_rows || b.parts == 1
                               ? shape.out_channels
                               : std::min(shape.out_channels, shape.out_channels / b.parts + kWidest);
  const std::int64_t most = std::max<std::int64_t>(block_tiles(shape) / b.row_tiles, 1), blocks = ceil_div(rows, most);
  b.block_rows = ceil_div(rows, blocks);
  // Sums that last from one block to the next, or until the other parts' are there, are kept for all channels.
  const bool all = blocks > 1 || (b.by_rows && b.parts > 1);
  b.slab_in = all ? shape.in_channels : std::min(shape.in_channels, kSlabIn);
  b.slab_out = all ? out : std::min(out, kSlabOut);
  // An odd number of vectors, lest the 36 positions of a tile fall into one set of a cache.
  b.position = (b.block_rows * b.row_tiles) | 1;
  const auto add = [&](std::int64_t count) {
    const std::size_t offset = b.size;
    b.size += static_cast<std::size_t>(ceil_div(count, 16) * 16);
    return offset;
  };
  b.x = add(shape.in_channels * kPositions * b.position);
  b.dy = add(out * kPositions * b.position);
  b.sums = add(kPositions * b.slab_in * b.slab_out);
  b.bias = add(out);
  return b;
}

std::size_t winograd_weights_scratch_bytes(const WinogradShape& shape, int threads) {
  const WinogradWeightsBlocks blocks = winograd_weights_blocks(shape, threads);
  return static_cast<std::size_t>(blocks.parts) * blocks.size * sizeof(float);
}

}  // namespace athanor::kernels
