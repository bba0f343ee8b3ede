// 3 × 3 convolutions of few channels (stride 1, padding 1) by tensor cores, channels last: a block holds a few rows of
// an image in shared memory and reads them from there nine times. Sums are float32.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "base/dtype.h"

namespace athanor::kernels::cuda {

/// y [N, H, W, C] = x [N, H, W, C] ∗ w [C, 3, 3, C]; or, with `backward_data`, its gradient by x: x is that of y then,
/// and y that of x. C: 16, 32 or 64.
struct DirectConvolution {
  DType dtype = DType::f16;  ///< bf16 or f16
  bool backward_data = false;
  std::int64_t batch = 0;
  int height = 0, width = 0, channels = 0;
  const void* x = nullptr;
  const void* w = nullptr;
  void* y = nullptr;
};

/// dw [C, 3, 3, I] of x [N, H, W, I] and dy [N, H, W, C]: I is C, or 4 where C is 16.
struct DirectConvolutionWeights {
  DType dtype = DType::f16;     ///< bf16 or f16
  DType gradient = DType::f32;  ///< of dw: f32 or `dtype`
  std::int64_t batch = 0;
  int height = 0, width = 0, channels = 0, in_channels = 0;
  const void* x = nullptr;
  const void* dy = nullptr;
  void* dw = nullptr;
  void* scratch = nullptr;  ///< direct_weights_scratch_bytes
};

/// How images are cut: pieces of `rows` whole rows.
struct ImageTiles {
  int height = 0, width = 0;
  int rows = 0;       ///< of a tile; the last of an image may have fewer
  int per_image = 0;  ///< tiles
  int count = 0;      ///< tiles of the batch
};

/// Pixels of a tile, so that the eight warps of a block have two products of 16 pixels × 16 channels each.
constexpr int direct_tile_pixels(int channels) {
  return 4096 / channels;
}
inline ImageTiles image_tiles(std::int64_t batch, int height, int width, int channels) {
  const int most = std::clamp(direct_tile_pixels(channels) / width, 1, height);
  const int per_image = (height + most - 1) / most;
  return {height, width, (height + per_image - 1) / per_image, per_image, static_cast<int>(batch) * per_image};
}

/// Elements of a pixel in shared memory: 16 bytes more than its channels, so that eight in a row use all banks.
constexpr int direct_pixel_stride(int channels) {
  return channels + 8;
}
constexpr int direct_weight_stride(int channels) {
  return 9 * channels + 8;
}

/// Shared memory of a block, in bytes.
inline std::size_t direct_shared_bytes(const ImageTiles& tiles, int channels) {
  const int image = (tiles.rows + 2) * (tiles.width + 2) * direct_pixel_stride(channels);
  return static_cast<std::size_t>(image + channels * direct_weight_stride(channels)) * 2;
}
/// One of two stages: the rows of x with a margin, then those of dy in whole groups of 16 pixels.
inline int direct_weights_stage_elements(const ImageTiles& tiles, int channels, int in_channels) {
  const bool is_few = in_channels < 16;
  const int image =
      (tiles.rows + 2) * (tiles.width + (is_few ? 0 : 2)) * direct_pixel_stride(is_few ? 16 : in_channels);
  return image + (tiles.rows * tiles.width + 15) / 16 * 16 * direct_pixel_stride(channels);
}
inline std::size_t direct_weights_shared_bytes(const ImageTiles& tiles, int channels, int in_channels) {
  constexpr std::size_t kSumsOfFourWarps = std::size_t{4} * 32 * 72 * sizeof(float);
  return std::max(static_cast<std::size_t>(direct_weights_stage_elements(tiles, channels, in_channels)) * 4,
                  kSumsOfFourWarps);
}

/// Partial sums of dw, each of an equal part of the tiles: the more, the sooner they are there, and the longer it takes
/// to add them.
inline int direct_weights_partials(const ImageTiles& tiles, int channels, int in_channels) {
  constexpr int kMost = 264, kMostBytes = 5 << 20;
  const int most = std::clamp(kMostBytes / (channels * 9 * in_channels * 4), 1, kMost);
  const int tiles_each = (tiles.count + most - 1) / most;
  return (tiles.count + tiles_each - 1) / tiles_each;
}
inline std::size_t direct_weights_scratch_bytes(const ImageTiles& tiles, int channels, int in_channels) {
  return static_cast<std::size_t>(direct_weights_partials(tiles, channels, in_channels)) *
         static_cast<std::size_t>(channels * 9 * in_channels) * sizeof(float);
}

}  // namespace athanor::kernels::cuda
