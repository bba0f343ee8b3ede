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

/// A window of an image: what of it lies outside is zero.
struct ImageWindow {
  int first_row = 0, first_column = 0, rows = 0, columns = 0;
};

/// Starts to copy a window of an image [height, width, kChannels] to [rows, columns, pixel stride].
template <int kChannels, typename T>
ATHANOR_DEVICE void copy_window_of(T* to, const T* image, int height, int width, const ImageWindow& window) {
  constexpr unsigned kChunks = kChannels / 8;
  const unsigned columns = static_cast<unsigned>(window.columns);
  const unsigned count = static_cast<unsigned>(window.rows) * columns * kChunks;
  for (unsigned i = threadIdx.x; i < count; i += kDirectThreads) {
    const unsigned place = i / kChunks, chunk = i % kChunks;
    const int y = window.first_row + static_cast<int>(place / columns);
    const int x = window.first_column + static_cast<int>(place % columns);
    const bool exists = y >= 0 && y < height && x >= 0 && x < width;
    const T* from = exists ? image + (y * width + x) * kChannels + chunk * 8 : image;
    copy_async<16>(to + place * direct_pixel_stride(kChannels) + chunk * 8, from, exists);
  }
}

/// The same of a tile of x with its margin: [in_rows, in_columns, pixel stride].
template <int kChannels, typename T>
ATHANOR_DEVICE void copy_with_margin(T* to, const T* x, const ImageTiles& tiles, const ImageTile& tile) {
  const ImageWindow window{tile.row * tiles.stride - 1, -1, tiles.in_rows(), tiles.in_columns()};
  copy_window_of<kChannels>(to, x + tile.in_pixel(tiles) * kChannels, tiles.in_height, tiles.in_width, window);
}

/// Starts to copy w [C, 3, 3, I], an output channel every direct_weight_stride elements.
template <int I, int C, typename T>
ATHANOR_DEVICE void copy_all_weights(T* to, const T* w) {
  constexpr unsigned kChunks = 9 * I / 8;
  for (unsigned i = threadIdx.x; i < C * kChunks; i += kDirectThreads) {
    copy_async<16>(to + i / kChunks * direct_weight_stride(I) + i % kChunks * 8, w + i * 8, true);
  }
}

/// Stores 16 pixels × 16 channels, those of row i at address_of(i), which is nullptr where there is no such pixel:
/// lanes trade halves first, so that each writes 8 bytes and four of them 32 in a row.
template <typename T, typename AddressOf>
ATHANOR_DEVICE void store_product(const float (&sums)[2][4], AddressOf address_of) {
  const int lane = static_cast<int>(threadIdx.x) % 32, t = lane % 4;
  const bool is_odd = t % 2 != 0;
  const auto two = [](float low, float high) {
    return store_as<T>(low).bits | static_cast<unsigned>(store_as<T>(high).bits) << 16;
  };
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const unsigned left = two(sums[0][half * 2], sums[0][half * 2 + 1]);
    const unsigned right = two(sums[1][half * 2], sums[1][half * 2 + 1]);
    const unsigned got = __shfl_xor_sync(0xffffffffu, is_odd ? left : right, 1);
    T* to = address_of(lane / 4 + half * 8);
    if (to == nullptr) continue;
    Pack<unsigned, 2> pair;
    pair[0] = is_odd ? got : left;
    pair[1] = is_odd ? right : got;
    *reinterpret_cast<Pack<unsigned, 2>*>(to + (is_odd ? 8 + (t - 1) * 2 : t * 2)) = pair;
  }
}

/// The same of a tile of images of 4 channels at stride 1, with a margin of rows alone: a pixel's 16 elements are those
/// of itself between its neighbours, then zeros, so that a row of the window is one pixel of 16 channels.
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

/// The gradient by x at stride 2 (direct_convolution_gradient.cu).
void launch_strided_gradient(const DirectConvolution& args, LaunchStream stream);

/// Calls `f.template operator()<T>()` for bf16 or f16.
template <typename F>
void with_short_type(DType dtype, F&& f) {
  dtype == DType::bf16 ? f.template operator()<BFloat16>() : f.template operator()<Float16>();
}

}  // namespace athanor::kernels::cuda
