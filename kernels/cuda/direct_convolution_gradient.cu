// The gradient by x of a direct convolution at stride 2. Pixels of x are of four kinds, by whether row and column are
// odd: an even row comes from one row of dy, by the middle of the window, an odd one from two. A warp holds the sums of
// all four for 16 pixels of dy × 16 channels.
#include "kernels/cuda/direct_tiles.h"

namespace athanor::kernels::cuda {
namespace {

/// Which rows of x a row of the window leads to, and from which row of dy, counted from the pixel's own; so for
/// columns.
ATHANOR_DEVICE constexpr int is_odd(int window_row) {
  return window_row != 1;
}
ATHANOR_DEVICE constexpr int is_next(int window_row) {
  return window_row == 0;
}

/// dy [N, OH, OW, C] → dx [N, H, W, I].
template <typename T, int I, int C>
ATHANOR_KERNEL __launch_bounds__(kDirectThreads, 2)
    strided_gradient_kernel(ImageTiles tiles, const T* dy, const T* w, T* dx) {
  constexpr int kStride = direct_pixel_stride(C), kWeightStride = direct_weight_stride(I), kGroups = I / 16;
  static_assert(direct_tile_pixels(C) / 16 * kGroups == kDirectWarps);
  T* weights = dynamic_shared<T>();
  T* image = weights + C * kWeightStride;
  wait_for_previous();
  const ImageTile tile = tile_at(tiles, static_cast<int>(blockIdx.x));
  const int width = tiles.width + 1;
  copy_window_of<C>(image, dy + tile.image * tiles.height * tiles.width * C, tiles.height, tiles.width,
                    ImageWindow{tile.row, 0, tiles.rows + 1, width});
  copy_all_weights<I, C>(weights, w);
  end_copies();
  wait_for_copies<0>();
  __syncthreads();
  let_next_start();

  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  const int group = warp % kGroups, first = warp / kGroups * 16;
  if (first >= tile.pixels) return;
  const int wanted = first + lane % 16, pixel = wanted < tile.pixels ? wanted : tile.pixels - 1;
  const T* at = image + (pixel / tiles.width * width + pixel % tiles.width) * kStride + lane / 16 * 8;
  const int piece_row = lane % 8, piece = lane / 8;
  const T* taps = weights + (piece % 2 * 8 + piece_row) * kWeightStride + group * 16 + piece / 2 * 8;

  float sums[2][2][2][4] = {};
#pragma unroll
  for (int k = 0; k < C; k += 16) {
    unsigned a[2][2][4];
#pragma unroll
    for (int i = 0; i < 4; ++i) load_matrices(a[i / 2][i % 2], at + (i / 2 * width + i % 2) * kStride + k);
#pragma unroll
    for (int tap = 0; tap < 9; ++tap) {
      const int y = tap / 3, x = tap % 3;
      unsigned b[4];
      load_matrices_transposed(b, taps + k * kWeightStride + tap * I);
      multiply_add<T>(sums[is_odd(y)][is_odd(x)][0], a[is_next(y)][is_next(x)], b[0], b[1]);
      multiply_add<T>(sums[is_odd(y)][is_odd(x)][1], a[is_next(y)][is_next(x)], b[2], b[3]);
    }
  }
  T* to = dx + tile.in_pixel(tiles) * I + group * 16;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    store_product<T>(sums[i / 2][i % 2], [&](int row) -> T* {
      const int from = first + row;
      const int y = (tile.row + from / tiles.width) * 2 + i / 2, x = from % tiles.width * 2 + i % 2;
      const bool exists = from < tile.pixels && y < tiles.in_height && x < tiles.in_width;
      return exists ? to + (y * tiles.in_width + x) * I : nullptr;
    });
  }
}

template <typename T, int I, int C>
void start(const DirectConvolution& args, LaunchStream stream) {
  const ImageTiles tiles = image_tiles(args.batch, args.height, args.width, C, 2);
  const int elements = (tiles.rows + 1) * (tiles.width + 1) * direct_pixel_stride(C) + C * direct_weight_stride(I);
  launch_early(strided_gradient_kernel<T, I, C>, static_cast<unsigned>(tiles.count), kDirectThreads,
               static_cast<std::size_t>(elements) * 2, stream, tiles, static_cast<const T*>(args.x),
               static_cast<const T*>(args.w), static_cast<T*>(args.y));
}

}  // namespace

void launch_strided_gradient(const DirectConvolution& args, LaunchStream stream) {
  with_short_type(args.dtype, [&]<typename T>() {
    args.channels == 32 ? start<T, 16, 32>(args, stream) : start<T, 32, 64>(args, stream);
  });
}

}  // namespace athanor::kernels::cuda
