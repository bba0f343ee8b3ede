// What the direct convolutions share: the place of a tile in its image, and how its pixels come into shared memory.
// Code of kernels: include it in .cu files only.
#pragma once

#include "kernels/cuda/direct_convolution.h"
#include "kernels/cuda/mma.h"

namespace athanor::kernels::cuda {

inline constexpr int kDirectThreads = 256, kDirectWarps = kDirectThreads / 32;

/// The rows [row, row + pixels / width) of an image of y.
struct ImageTile {
  std::int64_t image = 0;
  int row = 0, pixels = 0;

  /// The tile's first pixel in y, and the image's in x.
  ATHANOR_DEVICE std::int64_t out_pixel(const ImageTiles& t) const { return (image * t.height + row) * t.width; }
  ATHANOR_DEVICE std::int64_t in_pixel(const ImageTiles& t) const { return image * t.in_height * t.in_width; }
};

ATHANOR_DEVICE ImageTile tile_at(const ImageTiles& tiles, int tile) {
  const int image = tile / tiles.per_image, row = (tile - image * tiles.per_image) * tiles.rows;
  const int rows = tiles.height - row < tiles.rows ? tiles.height - row : tiles.rows;
  return {image, row, (rows > 0 ? rows : 0) * tiles.width};
}

/// Starts to copy a tile of x with its margin, zeros around the image: [in_rows, in_columns, pixel stride].
template <int kChannels, typename T>
ATHANOR_DEVICE void copy_with_margin(T* to, const T* x, const ImageTiles& tiles, const ImageTile& tile) {
  constexpr unsigned kChunks = kChannels / 8;
  const unsigned width = static_cast<unsigned>(tiles.in_columns());
  const unsigned count = static_cast<unsigned>(tiles.in_rows()) * width * kChunks;
  const T* image = x + tile.in_pixel(tiles) * kChannels;
  for (unsigned i = threadIdx.x; i < count; i += kDirectThreads) {
    const unsigned place = i / kChunks, chunk = i % kChunks;
    const int row = static_cast<int>(place / width),
              column = static_cast<int>(place - static_cast<unsigned>(row) * width) - 1;
    const int y = tile.row * tiles.stride + row - 1;
    const bool exists = y >= 0 && y < tiles.in_height && column >= 0 && column < tiles.in_width;
    const T* from = exists ? image + (y * tiles.in_width + column) * kChannels + chunk * 8 : x;
    copy_async<16>(to + place * direct_pixel_stride(kChannels) + chunk * 8, from, exists);
  }
}

/// The same of images of 4 channels at stride 1, with a margin of rows alone: a pixel's 16 elements are those of itself
/// between its neighbours, then zeros, so that a row of the window is one pixel of 16 channels.
template <typename T>
ATHANOR_DEVICE void copy_windows(T* to, const T* x, const ImageTiles& tiles, const ImageTile& tile) {
  const unsigned width = static_cast<unsigned>(tiles.width);
  const unsigned count = static_cast<unsigned>(tiles.in_rows()) * width * 4;
  const T* image = x + tile.in_pixel(tiles) * 4;
  for (unsigned i = threadIdx.x; i < count; i += kDirectThreads) {
    const unsigned place = i / 4, part = i % 4;
    const int row = static_cast<int>(place / width);
    const int y = tile.row + row - 1, column = static_cast<int>(place % width + part) - 1;
    const bool exists = part < 3 && y >= 0 && y < tiles.height && column >= 0 && column < tiles.width;
    const T* from = exists ? image + (y * tiles.width + column) * 4 : x;
    copy_async<8>(to + place * direct_pixel_stride(16) + part * 4, from, exists);
  }
}

/// Calls `f.template operator()<T>()` for bf16 or f16.
template <typename F>
void with_short_type(DType dtype, F&& f) {
  dtype == DType::bf16 ? f.template operator()<BFloat16>() : f.template operator()<Float16>();
}

}  // namespace athanor::kernels::cuda
