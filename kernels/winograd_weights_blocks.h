// How the gradient of a convolution's weights by Winograd is cut into parts and blocks, and what scratch they take.
#pragma once

#include "kernels/winograd_weights.h"

namespace athanor::kernels {

/// Each thread does a part on its own, in scratch of its own: some rows of tiles (its sums are added to the others'
/// afterwards), or, where the sums are large, all rows and some of the output's channels. A part goes through its rows
/// block by block: it transforms the block's tiles, then adds their products to its sums.
struct WinogradWeightsBlocks {
  std::int64_t row_tiles = 0;   ///< tiles in a row of tiles: ⌈OW / 4⌉
  std::int64_t image_rows = 0;  ///< rows of tiles in an image: ⌈OH / 4⌉
  std::int64_t rows = 0;        ///< in the batch
  std::int64_t parts = 0;
  bool by_rows = false;                    ///< parts are of rows, else of channels of the output
  std::int64_t block_rows = 0;             ///< the last block of a part may have fewer
  std::int64_t slab_in = 0, slab_out = 0;  ///< channels whose sums are under way at once
  std::int64_t position = 0;               ///< from one position of a transformed block to the next, in vectors
  std::size_t x = 0, dy = 0, sums = 0, bias = 0, size = 0;  ///< offsets in a part's scratch and its size, in floats
};

WinogradWeightsBlocks winograd_weights_blocks(const WinogradShape& shape, int threads);

}  // namespace athanor::kernels
