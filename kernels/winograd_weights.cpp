#include "kernels/winograd_weights.h"

#include <algorithm>

#include "kernels/winograd_weights_blocks.h"

namespace athanor::kernels {
namespace {

constexpr std::int64_t kPositions = 36, kWidest = 16;

/// Tiles of a block. Its transforms stay in the second cache with 16 or 32 channels; with more the block has to be long
/// enough to be worth its reading and writing of all sums.
constexpr std::int64_t kBlockTiles = 128;

/// Channels up to which a part has all sums (36 · 128 · 128 floats: 2.4 MB) and transforms of its own.
constexpr std::int64_t kPartChannels = 128;

/// Few tiles of many channels are all transformed at once, in up to 9 MB, instead of again for each range of channels.
constexpr std::int64_t kTransformedFloats = kPositions * 64 * 1024;

/// Channels of a slab: its sums (36 · 64 · 32 floats) stay in the second cache.
constexpr std::int64_t kSlabIn = 64, kSlabOut = 32;

std::int64_t ceil_div(std::int64_t a, std::int64_t b) {
  return (a + b - 1) / b;
}

/// The most channels that one of `parts` has. Parts end at multiples of a vector, whose width is not known here.
std::int64_t most_of(std::int64_t channels, std::int64_t parts) {
  return parts == 1 ? channels : std::min(channels, channels / parts + kWidest);
}

}  // namespace

WinogradWeightsBlocks winograd_weights_blocks(const WinogradShape& shape, int threads) {
  const std::int64_t team = std::max(threads, 1);
  WinogradWeightsBlocks b;
  b.row_tiles = ceil_div(shape.out_width, 4);
  b.image_rows = ceil_div(shape.out_height, 4);
  b.rows = shape.batch * b.image_rows;
  const std::int64_t tiles = b.rows * b.row_tiles;
  std::int64_t block_tiles = kBlockTiles;
  if (shape.in_channels * shape.out_channels <= kPartChannels * kPartChannels) {
    b.row_parts = std::min(team, b.rows);
  } else if (kPositions * tiles * (shape.in_channels + shape.out_channels) <= kTransformedFloats) {
    b.out_parts = std::clamp<std::int64_t>(shape.out_channels / kWidest, 1, team);
    block_tiles = tiles;
  } else {
    b.in_parts = ceil_div(shape.in_channels, kPartChannels);
    b.out_parts = ceil_div(shape.out_channels, kPartChannels);
  }
  b.rooms = std::min(team, b.parts());
  const std::int64_t rows = ceil_div(b.rows, b.row_parts);
  const std::int64_t in = most_of(shape.in_channels, b.in_parts), out = most_of(shape.out_channels, b.out_parts);
  const std::int64_t blocks = ceil_div(rows, std::max<std::int64_t>(block_tiles / b.row_tiles, 1));
  b.block_rows = ceil_div(rows, blocks);
  // Sums that last from one block to the next, or until the other rows' are there, are kept for all channels.
  const bool all = blocks > 1 || b.row_parts > 1;
  b.slab_in = all ? in : std::min(in, kSlabIn);
  b.slab_out = all ? out : std::min(out, kSlabOut);
  // An odd number of vectors, lest the 36 positions of a tile fall into one set of a cache.
  b.position = (b.block_rows * b.row_tiles) | 1;
  const auto add = [&](std::int64_t count) {
    const std::size_t offset = b.size;
    b.size += static_cast<std::size_t>(ceil_div(count, 16) * 16);
    return offset;
  };
  b.x = add(in * kPositions * b.position);
  b.dy = add(out * kPositions * b.position);
  b.sums = add(kPositions * b.slab_in * b.slab_out);
  b.bias = add(out);
  return b;
}

std::size_t winograd_weights_scratch_bytes(const WinogradShape& shape, int threads) {
  const WinogradWeightsBlocks blocks = winograd_weights_blocks(shape, threads);
  return static_cast<std::size_t>(blocks.rooms) * blocks.size * sizeof(float);
}

}  // namespace athanor::kernels
