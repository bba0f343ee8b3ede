// The gradient of a direct convolution's weights: a product of channels of dy × channels of x over the pixels, by taps.
// A warp holds 16 × 16 of them for all taps; warps, then blocks, are added in a fixed order.
#include "kernels/cuda/direct_tiles.h"

namespace athanor::kernels::cuda {
namespace {

/// Of x → y: I → C channels at stride S; kIn: I in shared memory (see copy_windows).
template <int I, int C, int S>
struct WeightsShape {
  static constexpr int kI = I, kC = C, kStride = S;
  static constexpr bool kIsFew = I < 16;
  static constexpr int kIn = kIsFew ? 16 : I;
  static constexpr int kTaps = kIsFew ? 3 : 9;
  static constexpr int kProducts = C / 16 * (kIn / 16);
  static constexpr int kProductsOfBlock = kProducts < kDirectWarps ? kProducts : kDirectWarps;
  static constexpr int kGroups = kDirectWarps / kProductsOfBlock;  ///< warps that share a product: each has its pixels
  static constexpr int kSums = kTaps * 8;                          ///< of a lane
};

template <typename Shape, typename T>
ATHANOR_DEVICE void copy_stage(T* stage, int image_elements, const T* x, const T* dy, const ImageTiles& tiles, int at) {
  const ImageTile tile = tile_at(tiles, at);
  if constexpr (Shape::kIsFew) {
    copy_windows(stage, x, tiles, tile);
  } else {
    copy_with_margin<Shape::kI>(stage, x, tiles, tile);
  }
  constexpr int C = Shape::kC;
  constexpr unsigned kChunks = C / 8;
  const unsigned count = static_cast<unsigned>(tile.pixels + 15) / 16 * 16 * kChunks;
  const T* rows = dy + tile.out_pixel(tiles) * C;
  for (unsigned i = threadIdx.x; i < count; i += kDirectThreads) {
    const unsigned pixel = i / kChunks;
    const bool exists = pixel < static_cast<unsigned>(tile.pixels);
    copy_async<16>(stage + image_elements + pixel * direct_pixel_stride(C) + i % kChunks * 8,
                   exists ? rows + i * 8 : dy, exists);
  }
}

/// Adds the products of one tile's pixels that are this warp's.
template <typename Shape, typename T>
ATHANOR_DEVICE void add_tile(float (&sums)[Shape::kTaps][2][4], const T* image, const T* dy, int pixels, int out_width,
                             int width, int product, int group) {
  constexpr int kPixelStride = direct_pixel_stride(Shape::kIn);
  const int lane = static_cast<int>(threadIdx.x) % 32, piece_row = lane % 8, piece = lane / 8;
  const T* dy_at = dy + (piece / 2 * 8 + piece_row) * direct_pixel_stride(Shape::kC) +
                   product / (Shape::kIn / 16) * 16 + piece % 2 * 8;
  const T* x_at = image + product % (Shape::kIn / 16) * 16 + piece / 2 * 8;
  for (int first = group * 16; first < pixels; first += Shape::kGroups * 16) {
    unsigned a[4];
    load_matrices_transposed(a, dy_at + first * direct_pixel_stride(Shape::kC));
    // Beyond the last pixel dy is zero; x is any pixel that there is.
    const int wanted = first + piece % 2 * 8 + piece_row, pixel = wanted < pixels ? wanted : pixels - 1;
    const T* at = x_at + (pixel / out_width * width + pixel % out_width) * Shape::kStride * kPixelStride;
#pragma unroll
    for (int tap = 0; tap < Shape::kTaps; ++tap) {
      unsigned b[4];
      const int offset = Shape::kIsFew ? tap * width : tap / 3 * width + tap % 3;
      load_matrices_transposed(b, at + offset * kPixelStride);
      multiply_add<T>(sums[tap][0], a, b[0], b[1]);
      multiply_add<T>(sums[tap][1], a, b[2], b[3]);
    }
  }
}

/// Adds the sums of the groups along a tree, into those of group 0.
template <int kGroups, int kProducts, int kSums>
ATHANOR_DEVICE void add_groups(float* sums, float* shared, int warp, int group) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll
  for (int half = kGroups / 2; half > 0; half /= 2) {
    __syncthreads();
    if (group >= half && group < 2 * half) {
#pragma unroll
      for (int i = 0; i < kSums; ++i) shared[((warp - half * kProducts) * kSums + i) * 32 + lane] = sums[i];
    }
    __syncthreads();
    if (group < half) {
#pragma unroll
      for (int i = 0; i < kSums; ++i) sums[i] += shared[(warp * kSums + i) * 32 + lane];
    }
  }
}

/// dw [C, 3, 3, I] of this block's tiles.
template <typename Shape>
ATHANOR_DEVICE void store_partial(float* dw, const float (&sums)[Shape::kTaps][2][4], int product) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int out = product / (Shape::kIn / 16) * 16 + lane / 4, in = product % (Shape::kIn / 16) * 16 + lane % 4 * 2;
#pragma unroll
  for (int tap = 0; tap < Shape::kTaps; ++tap) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int row = out + i % 2 * 8, column = in + i / 2 * 8;
      if (Shape::kIsFew && column >= 3 * Shape::kI) continue;
      Pack<float, 2> pair;
      pair[0] = sums[tap][i / 2][i % 2 * 2];
      pair[1] = sums[tap][i / 2][i % 2 * 2 + 1];
      store_pack<2>(dw + (row * Shape::kTaps + tap) * (Shape::kIsFew ? 3 * Shape::kI : Shape::kI) + column, pair);
    }
  }
}

template <typename T, typename Shape>
ATHANOR_KERNEL __launch_bounds__(kDirectThreads, 2)
    weights_partials_kernel(ImageTiles tiles, int stage_elements, const T* x, const T* dy, float* partials) {
  T* stages = dynamic_shared<T>();
  const int image_elements = direct_image_elements(tiles, Shape::kI);
  const int width = Shape::kIsFew ? tiles.width : tiles.in_columns();
  const int warp = static_cast<int>(threadIdx.x) / 32, group = warp / Shape::kProductsOfBlock;
  const int product = static_cast<int>(blockIdx.y) * Shape::kProductsOfBlock + warp % Shape::kProductsOfBlock;
  float sums[Shape::kTaps][2][4] = {};
  wait_for_previous();
  const int first = static_cast<int>(blockIdx.x), step = static_cast<int>(gridDim.x);
  copy_stage<Shape>(stages, image_elements, x, dy, tiles, first);
  end_copies();
  int stage = 0;
  for (int tile = first; tile < tiles.count; tile += step) {
    if (tile + step < tiles.count) {
      copy_stage<Shape>(stages + (1 - stage) * stage_elements, image_elements, x, dy, tiles, tile + step);
    }
    end_copies();
    wait_for_copies<1>();
    __syncthreads();
    const T* image = stages + stage * stage_elements;
    add_tile<Shape>(sums, image, image + image_elements, tile_at(tiles, tile).pixels, tiles.width, width, product,
                    group);
    __syncthreads();
    stage = 1 - stage;
  }
  let_next_start();
  add_groups<Shape::kGroups, Shape::kProductsOfBlock, Shape::kSums>(&sums[0][0][0], reinterpret_cast<float*>(stages),
                                                                    warp, group);
  if (group == 0)
    store_partial<Shape>(partials + static_cast<std::int64_t>(blockIdx.x) * (Shape::kC * 9 * Shape::kI), sums, product);
}

constexpr int kAddThreads = 512, kAddWarps = kAddThreads / 32;

/// dw [elements] = Σ partials [count, elements]: warp w of a block adds every 16th of them from w on.
template <typename G>
ATHANOR_KERNEL __launch_bounds__(kAddThreads)
    add_partials_kernel(int count, int elements, const float* partials, G* dw) {
  constexpr int kUnroll = 8;
  ATHANOR_SHARED float parts[kAddWarps][32];
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  const int element = static_cast<int>(blockIdx.x) * 32 + lane;
  wait_for_previous();
  float sum = 0;
  for (int first = warp; first < count; first += kUnroll * kAddWarps) {
    float values[kUnroll];
#pragma unroll
    for (int u = 0; u < kUnroll; ++u) {
      const int i = first + u * kAddWarps;
      values[u] = i < count ? partials[static_cast<std::int64_t>(i) * elements + element] : 0.0f;
    }
#pragma unroll
    for (int u = 0; u < kUnroll; ++u) sum += values[u];
  }
  parts[warp][lane] = sum;
  __syncthreads();
  if (warp != 0) return;
#pragma unroll
  for (int i = 1; i < kAddWarps; ++i) sum += parts[i][lane];
  dw[element] = store_as<G>(sum);
}

template <typename T, int I, int C, int S>
void start(const DirectConvolutionWeights& args, LaunchStream stream) {
  using Shape = WeightsShape<I, C, S>;
  constexpr int kElements = C * 9 * I;
  static_assert(kElements % 32 == 0);
  const ImageTiles tiles = image_tiles(args.batch, args.height, args.width, C, S);
  const int count = direct_weights_partials(tiles, I, C);
  auto* partials = static_cast<float*>(args.scratch);
  launch_early(weights_partials_kernel<T, Shape>,
               Dim3(static_cast<unsigned>(count), Shape::kProducts / Shape::kProductsOfBlock), kDirectThreads,
               direct_weights_shared_bytes(tiles, I, C), stream, tiles, direct_weights_stage_elements(tiles, I, C),
               static_cast<const T*>(args.x), static_cast<const T*>(args.dy), partials);
  with_type(args.gradient, [&]<typename G>() {
    launch_early(add_partials_kernel<G>, kElements / 32, kAddThreads, 0, stream, count, kElements, partials,
                 static_cast<G*>(args.dw));
  });
}

}  // namespace

void launch(const DirectConvolutionWeights& args, LaunchStream stream) {
  with_short_type(args.dtype, [&]<typename T>() {
    if (args.in_channels == 4) return start<T, 4, 16, 1>(args, stream);
    if (args.stride == 2)
      return args.channels == 32 ? start<T, 16, 32, 2>(args, stream) : start<T, 32, 64, 2>(args, stream);
    if (args.channels == 16) start<T, 16, 16, 1>(args, stream);
    if (args.channels == 32) start<T, 32, 32, 1>(args, stream);
    if (args.channels == 64) start<T, 64, 64, 1>(args, stream);
  });
}

}  // namespace athanor::kernels::cuda
