// How the gradient of a convolution's weights by Winograd is cut into parts and blocks, and what scratch they take.
#pragma once

#include "kernels/winograd_weights.h"

namespace athanor::kernels {

/// The work is cut into parts that know nothing of each other: ranges of rows of tiles, whose sums are added
/// afterwards; or, where the sums are large, ranges of channels. Each thread has scratch for one part. A part goes
/// through its rows block by block: it transforms the block's tiles, then adds their products to its sums.
struct WinogradWeightsBlocks {
  std::int64_t row_tiles = 0;   ///< tiles in a row of tiles: ⌈OW / 4⌉
  std::int64_t image_rows = 0;  ///< rows of tiles in an image: ⌈OH / 4⌉
  std::int64_t rows = 0;        ///< in the batch
  std::int64_t row_parts = 1, in_parts = 1, out_parts = 1;
  std::int64_t rooms = 1;                  ///< parts that there is scratch for; all of them if they are of rows
  std::int64_t block_rows = 0;             ///< the last block of a part may have fewer
  std::int64_t slab_in = 0, slab_out = 0;  ///< channels of a part whose sums are under way at once
  std::int64_t position = 0;               ///< from one position of a transformed block to the next, in vectors
  std::size_t x = 0, dy = 0, sums = 0, bias = 0, size = 0;  ///< offsets in a room and its size, in floats

  std::int64_t parts() const { return row_parts * in_parts * out_parts; }
};

WinogradWeightsBlocks winograd_weights_blocks(const WinogradShape& shape, int threads);

}  // namespace athanor::kernels
