// 3 × 3 convolutions of few channels (stride 1, padding 1) by tensor cores, channels last: a block holds a few rows of
// an image in shared memory and reads them from there nine times. Sums are float32.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "base/dtype.h"

namespace athanor::kernels::cuda {

/// y [N, OH, OW, C] = x [N, H, W, I] ∗ w [C, 3, 3, I]; or, with `backward_data`, its gradient by x: x is that
/// of y then, and y that of x. I → C: 16 → 16, 32 → 32, 64 → 64 at stride 1; 16 → 32, 32 → 64 at stride 2; without
/// that gradient, 4 → 16 at stride 1.
struct DirectConvolution {
  DType dtype = DType::f16;  ///< bf16 or f16
  bool backward_data = false;
  std::int64_t batch = 0;
  int height = 0, width = 0;  ///< of the convolution's input
  int in_channels = 0, channels = 0, stride = 1;
  const void* x = nullptr;
  const void* w = nullptr;
  void* y = nullptr;
};

/// dw [C, 3, 3, I] of x [N, H, W, I] and dy [N, OH, OW, C]: of the same channels.
struct DirectConvolutionWeights {
  DType dtype = DType::f16;     ///< bf16 or f16
  DType gradient = DType::f32;  ///< of dw: f32 or `dtype`
  std::int64_t batch = 0;
  int height = 0, width = 0;
  int in_channels = 0, channels = 0, stride = 1;
  const void* x = nullptr;
  const void* dy = nullptr;
  void* dw = nullptr;
  void* scratch = nullptr;  ///< direct_weights_scratch_bytes
};

/// How the images of y are cut: pieces of `rows` whole rows.
struct ImageTiles {
  int height = 0, width = 0;        ///< of y
  int in_height = 0, in_width = 0;  ///< of x
  int stride = 1;
  int rows = 0;       ///< of a tile; the last of an image may have fewer
  int per_image = 0;  ///< tiles
  int count = 0;      ///< tiles of the batch

  /// What a tile reads of x, its margin included.
  constexpr int in_rows() const { return rows * stride + 3 - stride; }
  constexpr int in_columns() const { return width * stride + 3 - stride; }
};

/// Pixels of a tile, so that the eight warps of a block have two products of 16 pixels × 16 channels each.
constexpr int direct_tile_pixels(int channels) {
  return 4096 / channels;
}
/// `height`, `width`: of x; `channels`: of y.
inline ImageTiles image_tiles(std::int64_t batch, int height, int width, int channels, int stride) {
  ImageTiles tiles{(height - 1) / stride + 1, (width - 1) / stride + 1, height, width, stride};
  const int most = std::clamp(direct_tile_pixels(channels) / tiles.width, 1, tiles.height);
  tiles.per_image = (tiles.height + most - 1) / most;
  tiles.rows = (tiles.height + tiles.per_image - 1) / tiles.per_image;
  tiles.count = static_cast<int>(batch) * tiles.per_image;
  return tiles;
}

/// Elements of a pixel in shared memory: 16 bytes more than its channels, so that eight in a row use all banks.
constexpr int direct_pixel_stride(int channels) {
  return channels + 8;
}
constexpr int direct_weight_stride(int in_channels) {
  return (in_channels < 16 ? 3 * 16 : 9 * in_channels) + 8;
}

/// Of x in shared memory. Few channels have a margin of rows alone (kernels/cuda/direct_tiles.h).
constexpr int direct_image_elements(const ImageTiles& tiles, int in_channels) {
  return in_channels < 16 ? tiles.in_rows() * tiles.width * direct_pixel_stride(16)
                          : tiles.in_rows() * tiles.in_columns() * direct_pixel_stride(in_channels);
}
/// Shared memory of a block, in bytes.
inline std::size_t direct_shared_bytes(const ImageTiles& tiles, int in_channels, int channels) {
  const int image = direct_image_elements(tiles, in_channels);
  return static_cast<std::size_t>(image + channels * direct_weight_stride(in_channels)) * 2;
}
/// Of a stage: the rows of x, then those of dy in whole groups of 16 pixels.
constexpr int direct_weights_stage_elements(const ImageTiles& tiles, int in_channels, int channels) {
  return direct_image_elements(tiles, in_channels) +
         (tiles.rows * tiles.width + 15) / 16 * 16 * direct_pixel_stride(channels);
}
inline std::size_t direct_weights_shared_bytes(const ImageTiles& tiles, int in_channels, int channels) {
  constexpr std::size_t kSumsOfFourWarps = std::size_t{4} * 32 * 72 * sizeof(float);
  return std::max(static_cast<std::size_t>(direct_weights_stage_elements(tiles, in_channels, channels)) * 4,
                  kSumsOfFourWarps);
}

/// Partial sums of dw, each of an equal part of the tiles: the more, the sooner they are there, and the longer it takes
/// to add them.
inline int direct_weights_partials(const ImageTiles& tiles, int in_channels, int channels) {
  constexpr int kMost = 264, kMostBytes = 5 << 20;
  const int most = std::clamp(kMostBytes / (channels * 9 * in_channels * 4), 1, kMost);
  const int tiles_each = (tiles.count + most - 1) / most;
  return (tiles.count + tiles_each - 1) / tiles_each;
}
inline std::size_t direct_weights_scratch_bytes(const ImageTiles& tiles, int in_channels, int channels) {
  return static_cast<std::size_t>(direct_weights_partials(tiles, in_channels, channels)) *
         static_cast<std::size_t>(channels * 9 * in_channels) * sizeof(float);
}

}  // namespace athanor::kernels::cuda
