// y and the gradient of x: the same product of 16 pixels × 16 channels a warp, by taps; the gradient takes them
// mirrored and their weights transposed.
#include "kernels/cuda/direct_tiles.h"

namespace athanor::kernels::cuda {
namespace {

constexpr int kTilesOfWarp = 2;

/// Few channels come as a window's rows of 16 (copy_windows), so that there are three taps.
template <int I>
inline constexpr bool kIsFew = I < 16;
template <int I>
inline constexpr int kTaps = kIsFew<I> ? 3 : 9;
template <int I>
inline constexpr int kIn = kIsFew<I> ? 16 : I;

template <int I, int C, typename T>
ATHANOR_DEVICE void copy_weights(T* to, const T* w) {
  if constexpr (kIsFew<I>) {
    for (unsigned i = threadIdx.x; i < C * 3 * 4; i += kDirectThreads) {
      const unsigned row = i / 4, part = i % 4;
      const bool exists = part < 3;
      copy_async<8>(to + row / 3 * direct_weight_stride(I) + row % 3 * 16 + part * 4,
                    exists ? w + (row * 3 + part) * 4 : w, exists);
    }
  } else {
    copy_all_weights<I, C>(to, w);
  }
}

template <typename T, int I, int C, int S, bool kBackward>
ATHANOR_KERNEL __launch_bounds__(kDirectThreads, C == 64 ? 2 : 4)
    direct_convolution_kernel(ImageTiles tiles, const T* x, const T* w, T* y) {
  constexpr int kStride = direct_pixel_stride(kIn<I>), kWeightStride = direct_weight_stride(I), kGroups = C / 16;
  static_assert(!kBackward || (S == 1 && I == C));
  T* weights = dynamic_shared<T>();
  T* image = weights + C * kWeightStride;
  wait_for_previous();
  const ImageTile tile = tile_at(tiles, static_cast<int>(blockIdx.x));
  if constexpr (kIsFew<I>) {
    copy_windows(image, x, tiles, tile);
  } else {
    copy_with_margin<I>(image, x, tiles, tile);
  }
  copy_weights<I, C>(weights, w);
  end_copies();
  wait_for_copies<0>();
  __syncthreads();
  let_next_start();

  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  const int group = warp % kGroups, first = warp / kGroups * kTilesOfWarp * 16;
  const int width = kIsFew<I> ? tiles.width : tiles.in_columns();
  if (first >= tile.pixels) return;
  // Where this lane reads: a pixel of each product's rows, and a row of each 8 × 8 piece of the weights.
  const T* pixels[kTilesOfWarp];
#pragma unroll
  for (int m = 0; m < kTilesOfWarp; ++m) {
    const int wanted = first + m * 16 + lane % 16, pixel = wanted < tile.pixels ? wanted : tile.pixels - 1;
    pixels[m] = image + (pixel / tiles.width * width + pixel % tiles.width) * S * kStride + lane / 16 * 8;
  }
  const int piece_row = lane % 8, piece = lane / 8;
  const T* taps = kBackward ? weights + (piece % 2 * 8 + piece_row) * kWeightStride + 8 * C + group * 16 + piece / 2 * 8
                            : weights + (group * 16 + piece / 2 * 8 + piece_row) * kWeightStride + piece % 2 * 8;

  float sums[kTilesOfWarp][2][4] = {};
#pragma unroll
  for (int tap = 0; tap < kTaps<I>; ++tap) {
    const int offset = (kIsFew<I> ? tap * width : tap / 3 * width + tap % 3) * kStride;
#pragma unroll
    for (int k = 0; k < kIn<I>; k += 16) {
      unsigned b[4];
      if constexpr (kBackward) {
        load_matrices_transposed(b, taps + k * kWeightStride - tap * C);
      } else {
        load_matrices(b, taps + tap * kIn<I> + k);
      }
#pragma unroll
      for (int m = 0; m < kTilesOfWarp; ++m) {
        unsigned a[4];
        load_matrices(a, pixels[m] + offset + k);
        multiply_add<T>(sums[m][0], a, b[0], b[1]);
        multiply_add<T>(sums[m][1], a, b[2], b[3]);
      }
    }
  }
  T* to = y + tile.out_pixel(tiles) * C + group * 16;
#pragma unroll
  for (int m = 0; m < kTilesOfWarp; ++m) {
    store_product<T>(sums[m], [&](int row) {
      const int pixel = first + m * 16 + row;
      return pixel < tile.pixels ? to + pixel * C : nullptr;
    });
  }
}

template <typename T, int I, int C, int S, bool kBackward = false>
void start(const DirectConvolution& args, LaunchStream stream) {
  const ImageTiles tiles = image_tiles(args.batch, args.height, args.width, C, S);
  launch_early(direct_convolution_kernel<T, I, C, S, kBackward>, static_cast<unsigned>(tiles.count), kDirectThreads,
               direct_shared_bytes(tiles, I, C), stream, tiles, static_cast<const T*>(args.x),
               static_cast<const T*>(args.w), static_cast<T*>(args.y));
}

template <typename T, int C>
void start_square(const DirectConvolution& args, LaunchStream stream) {
  args.backward_data ? start<T, C, C, 1, true>(args, stream) : start<T, C, C, 1>(args, stream);
}

}  // namespace

void launch(const DirectConvolution& args, LaunchStream stream) {
  if (args.backward_data && args.stride == 2) return launch_strided_gradient(args, stream);
  with_short_type(args.dtype, [&]<typename T>() {
    if (args.in_channels == 4) return start<T, 4, 16, 1>(args, stream);
    if (args.stride == 2)
      return args.channels == 32 ? start<T, 16, 32, 2>(args, stream) : start<T, 32, 64, 2>(args, stream);
    if (args.channels == 16) start_square<T, 16>(args, stream);
    if (args.channels == 32) start_square<T, 32>(args, stream);
    if (args.channels == 64) start_square<T, 64>(args, stream);
  });
}

}  // namespace athanor::kernels::cuda
