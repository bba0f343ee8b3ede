// Pooling: a thread has 16 bytes of channels of the pixel that it writes, in max pooling's gradient of 2 · 2 pixels.
#include "kernels/cuda/pool2d.h"

#include <cmath>

#include "kernels/cuda/row_pack.h"
#include "kernels/host_device.h"

namespace athanor::kernels::cuda {
namespace {

constexpr int kThreads = 256;

struct Range {
  int begin, end;
};

/// The window of output `out`, cut to the input.
ATHANOR_DEVICE Range window_of(int out, int stride, int pad, int kernel, int size) {
  const int start = out * stride - pad, end = start + kernel;
  return {start > 0 ? start : 0, end < size ? end : size};
}

/// The outputs whose windows hold input `in`.
ATHANOR_DEVICE Range outputs_of(int in, int stride, int pad, int kernel, int outputs) {
  const int end = (in + pad) / stride + 1, before = in + pad - kernel;
  return {before < 0 ? 0 : before / stride + 1, end < outputs ? end : outputs};
}

/// A pixel that a thread writes, and its first channel.
struct Pixel {
  std::int64_t sample;
  int y, x, channel;
};

/// Calls visit(pixel) for the thread's pixels of images of `height` · `width`: blocks of y have rows of pixels.
template <int V, typename Visit>
ATHANOR_DEVICE void for_pixels(const PoolShape& shape, int height, int width, Visit visit) {
  const int columns = shape.channels / V;
  const int at = static_cast<int>(blockIdx.x) * kThreads + static_cast<int>(threadIdx.x);
  if (at >= width * columns) return;
  const int x = at / columns, channel = (at - x * columns) * V;
  const auto rows = static_cast<std::uint32_t>(shape.samples * height), each = static_cast<std::uint32_t>(height);
  for (std::uint32_t row = blockIdx.y; row < rows; row += gridDim.y) {
    const std::uint32_t sample = row / each;
    visit(Pixel{sample, static_cast<int>(row - sample * each), x, channel});
  }
}

ATHANOR_HOST_DEVICE inline int min_of(int a, int b) {
  return a < b ? a : b;
}
/// Pairs of pixels that cover `pixels`.
ATHANOR_HOST_DEVICE inline int tiles_of(int pixels) {
  return (pixels + 1) / 2;
}

/// Where channel `channel` of a pixel lies.
ATHANOR_DEVICE std::int64_t offset_of(std::int64_t sample, int y, int x, int height, int width, int channels,
                                      int channel) {
  return ((sample * height + y) * width + x) * channels + channel;
}

template <typename Index, int V>
ATHANOR_DEVICE void store_indices(Index* to, const std::int32_t (&values)[V]) {
  constexpr int kAtOnce = V < kPackOf<Index> ? V : kPackOf<Index>;
#pragma unroll
  for (int v = 0; v < V; v += kAtOnce) {
    Pack<Index, kAtOnce> pack;
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i) pack[i] = static_cast<Index>(values[v + i]);
    store_pack(to + v, pack);
  }
}

/// Indices of V channels as they lie in memory.
template <typename Index, int V>
struct WindowIndices {
  static constexpr int kAtOnce = V < kPackOf<Index> ? V : kPackOf<Index>;
  Pack<Index, kAtOnce> packs[V / kAtOnce];

  ATHANOR_DEVICE void load(const Index* from) {
#pragma unroll
    for (int i = 0; i < V / kAtOnce; ++i) packs[i] = load_pack<kAtOnce>(from + i * kAtOnce);
  }
  ATHANOR_DEVICE int operator[](int v) const {
    return static_cast<int>(packs[v / kAtOnce][v % kAtOnce]);
  }
};

template <typename T, int V, typename Index>
ATHANOR_KERNEL __launch_bounds__(kThreads) max_pool_kernel(PoolShape shape, const T* from, T* to, Index* indices) {
  constexpr int kAtOnce = 3;  // a window's row, most often
  for_pixels<V>(shape, shape.out_height, shape.out_width, [&](const Pixel& out) {
    const Range rows = window_of(out.y, shape.stride_y, shape.pad_y, shape.kernel_y, shape.height);
    const Range columns = window_of(out.x, shape.stride_x, shape.pad_x, shape.kernel_x, shape.width);
    const int origin = (out.y * shape.stride_y - shape.pad_y) * shape.kernel_x + out.x * shape.stride_x - shape.pad_x;
    float best[V];
    std::int32_t index[V];
#pragma unroll
    for (int v = 0; v < V; ++v) {
      best[v] = -INFINITY;
      index[v] = rows.begin * shape.kernel_x + columns.begin - origin;
    }
    for (int y = rows.begin; y < rows.end; ++y) {
      const T* row = from + offset_of(out.sample, y, 0, shape.height, shape.width, shape.channels, out.channel);
      for (int first = columns.begin; first < columns.end; first += kAtOnce) {
        RowPack<T, V> packs[kAtOnce];
        load_rows<Reuse::soon>(packs, row + static_cast<std::int64_t>(first) * shape.channels, shape.channels,
                               columns.end - first < kAtOnce ? columns.end - first : kAtOnce);
#pragma unroll
        for (int i = 0; i < kAtOnce; ++i) {
          if (first + i >= columns.end) continue;
          const int place = y * shape.kernel_x + first + i - origin;
#pragma unroll
          for (int v = 0; v < V; ++v) {
            const float value = packs[i][v];
            const bool wins = value > best[v] || value != value;
            best[v] = wins ? value : best[v];
            index[v] = wins ? place : index[v];
          }
        }
      }
    }
    const std::int64_t at =
        offset_of(out.sample, out.y, out.x, shape.out_height, shape.out_width, shape.channels, out.channel);
    RowPack<T, V> result;
    result.set(best);
    result.store(to + at);
    if (indices != nullptr) store_indices(indices + at, index);
  });
}

/// 1 / the elements that the average of output (y, x) is over.
ATHANOR_DEVICE float share_of(const PoolShape& shape, bool count_include_pad, int y, int x) {
  if (count_include_pad) return 1.0f / static_cast<float>(shape.kernel_y * shape.kernel_x);
  const Range rows = window_of(y, shape.stride_y, shape.pad_y, shape.kernel_y, shape.height);
  const Range columns = window_of(x, shape.stride_x, shape.pad_x, shape.kernel_x, shape.width);
  return 1.0f / static_cast<float>((rows.end - rows.begin) * (columns.end - columns.begin));
}

template <typename T, int V>
ATHANOR_KERNEL __launch_bounds__(kThreads)
    avg_pool_kernel(PoolShape shape, bool count_include_pad, const T* from, T* to) {
  for_pixels<V>(shape, shape.out_height, shape.out_width, [&](const Pixel& out) {
    const Range rows = window_of(out.y, shape.stride_y, shape.pad_y, shape.kernel_y, shape.height);
    const Range columns = window_of(out.x, shape.stride_x, shape.pad_x, shape.kernel_x, shape.width);
    float sums[V] = {};
    for (int y = rows.begin; y < rows.end; ++y) {
      for (int x = columns.begin; x < columns.end; ++x) {
        RowPack<T, V> pack;
        pack.load(from + offset_of(out.sample, y, x, shape.height, shape.width, shape.channels, out.channel));
#pragma unroll
        for (int v = 0; v < V; ++v) sums[v] += pack[v];
      }
    }
    const float share = share_of(shape, count_include_pad, out.y, out.x);
#pragma unroll
    for (int v = 0; v < V; ++v) sums[v] *= share;
    RowPack<T, V> result;
    result.set(sums);
    result.store(to +
                 offset_of(out.sample, out.y, out.x, shape.out_height, shape.out_width, shape.channels, out.channel));
  });
}

/// dx of every input pixel: add(at, oy, ox, place of the input in that window, sums) for the windows that hold it.
template <typename T, int V, typename Add>
ATHANOR_DEVICE void gather(const PoolShape& shape, T* dx, Add add) {
  for_pixels<V>(shape, shape.height, shape.width, [&](const Pixel& in) {
    const Range rows = outputs_of(in.y, shape.stride_y, shape.pad_y, shape.kernel_y, shape.out_height);
    const Range columns = outputs_of(in.x, shape.stride_x, shape.pad_x, shape.kernel_x, shape.out_width);
    float sums[V] = {};
    for (int oy = rows.begin; oy < rows.end; ++oy) {
      for (int ox = columns.begin; ox < columns.end; ++ox) {
        const int ky = in.y + shape.pad_y - oy * shape.stride_y, kx = in.x + shape.pad_x - ox * shape.stride_x;
        add(offset_of(in.sample, oy, ox, shape.out_height, shape.out_width, shape.channels, in.channel), oy, ox,
            ky * shape.kernel_x + kx, sums);
      }
    }
    RowPack<T, V> result;
    result.set(sums);
    result.store(dx + offset_of(in.sample, in.y, in.x, shape.height, shape.width, shape.channels, in.channel));
  });
}

/// A thread has 2 · 2 pixels, as most windows that hold one of them hold others too: each window is read once for all.
/// The windows of a pixel are added in scan order.
template <typename T, int V, typename Index>
ATHANOR_KERNEL __launch_bounds__(kThreads, 3)
    max_pool_backward_kernel(PoolShape shape, const T* dy, const Index* indices, T* dx) {
  constexpr int kSide = 2, kAtOnce = 2;
  for_pixels<V>(shape, tiles_of(shape.height), tiles_of(shape.width), [&](const Pixel& tile) {
    const int y0 = tile.y * kSide, x0 = tile.x * kSide;
    const int rows_here = min_of(kSide, shape.height - y0), columns_here = min_of(kSide, shape.width - x0);
    const auto windows = [](int first, int count, int stride, int pad, int kernel, int outputs) {
      return Range{outputs_of(first, stride, pad, kernel, outputs).begin,
                   outputs_of(first + count - 1, stride, pad, kernel, outputs).end};
    };
    const Range rows = windows(y0, rows_here, shape.stride_y, shape.pad_y, shape.kernel_y, shape.out_height);
    const Range columns = windows(x0, columns_here, shape.stride_x, shape.pad_x, shape.kernel_x, shape.out_width);
    float sums[kSide][kSide][V] = {};
    for (int oy = rows.begin; oy < rows.end; ++oy) {
      for (int first = columns.begin; first < columns.end; first += kAtOnce) {
        const std::int64_t at =
            offset_of(tile.sample, oy, first, shape.out_height, shape.out_width, shape.channels, tile.channel);
        const int present = min_of(kAtOnce, columns.end - first);
        RowPack<T, V> gradients[kAtOnce];
        WindowIndices<Index, V> winners[kAtOnce];
        load_rows<Reuse::soon>(gradients, dy + at, shape.channels, present);
#pragma unroll
        for (int i = 0; i < kAtOnce; ++i) {
          if (i < present) winners[i].load(indices + at + i * shape.channels);
        }
#pragma unroll
        for (int i = 0; i < kAtOnce; ++i) {
          if (i >= present) continue;
#pragma unroll
          for (int y = 0; y < kSide; ++y) {
            const int ky = y0 + y + shape.pad_y - oy * shape.stride_y;
#pragma unroll
            for (int x = 0; x < kSide; ++x) {
              const int kx = x0 + x + shape.pad_x - (first + i) * shape.stride_x;
              if (ky < 0 || ky >= shape.kernel_y || kx < 0 || kx >= shape.kernel_x) continue;
              const int place = ky * shape.kernel_x + kx;
#pragma unroll
              for (int v = 0; v < V; ++v) {
                if (winners[i][v] == place) sums[y][x][v] += gradients[i][v];
              }
            }
          }
        }
      }
    }
#pragma unroll
    for (int y = 0; y < kSide; ++y) {
#pragma unroll
      for (int x = 0; x < kSide; ++x) {
        if (y >= rows_here || x >= columns_here) continue;
        RowPack<T, V> result;
        result.set(sums[y][x]);
        result.store(dx +
                     offset_of(tile.sample, y0 + y, x0 + x, shape.height, shape.width, shape.channels, tile.channel));
      }
    }
  });
}

template <typename T, int V>
ATHANOR_KERNEL __launch_bounds__(kThreads)
    avg_pool_backward_kernel(PoolShape shape, bool count_include_pad, const T* dy, T* dx) {
  gather<T, V>(shape, dx, [&](std::int64_t at, int oy, int ox, int, float(&sums)[V]) {
    const float share = share_of(shape, count_include_pad, oy, ox);
    RowPack<T, V> gradients;
    gradients.load(dy + at);
#pragma unroll
    for (int v = 0; v < V; ++v) sums[v] += gradients[v] * share;
  });
}

/// Calls run.operator()<T, V>(blocks) for a kernel whose threads write images of `height` · `width`.
template <typename Run, typename... Pointers>
void launch_pixels(const PoolShape& shape, int height, int width, Run run, const Pointers*... pointers) {
  constexpr std::int64_t kMostRows = 65535;
  with_type(shape.dtype, [&]<typename T>() {
    const bool is_vector = shape.channels % kPackOf<T> == 0 && (is_aligned(pointers, 16) && ...);
    const std::int64_t items = static_cast<std::int64_t>(width) * (shape.channels / (is_vector ? kPackOf<T> : 1));
    const std::int64_t rows = shape.samples * height;
    const Dim3 blocks(static_cast<unsigned>((items + kThreads - 1) / kThreads),
                      static_cast<unsigned>(rows < kMostRows ? rows : kMostRows));
    if (is_vector) {
      run.template operator()<T, kPackOf<T>>(blocks);
    } else {
      run.template operator()<T, 1>(blocks);
    }
  });
}

/// Runs f.template operator()<Index>().
template <typename F>
void with_index(DType dtype, F&& f) {
  if (dtype == DType::u8) return f.template operator()<std::uint8_t>();
  f.template operator()<std::int32_t>();
}

}  // namespace

void launch(const MaxPool& args, LaunchStream stream) {
  with_index(args.index_dtype, [&]<typename Index>() {
    launch_pixels(
        args.shape, args.shape.out_height, args.shape.out_width,
        [&]<typename T, int V>(Dim3 blocks) {
          launch_independent(max_pool_kernel<T, V, Index>, blocks, kThreads, 0, stream, args.shape,
                             static_cast<const T*>(args.x), static_cast<T*>(args.y), static_cast<Index*>(args.indices));
        },
        args.x, args.y, args.indices);
  });
}

void launch(const MaxPoolBackward& args, LaunchStream stream) {
  with_index(args.index_dtype, [&]<typename Index>() {
    launch_pixels(
        args.shape, tiles_of(args.shape.height), tiles_of(args.shape.width),
        [&]<typename T, int V>(Dim3 blocks) {
          launch_independent(max_pool_backward_kernel<T, V, Index>, blocks, kThreads, 0, stream, args.shape,
                             static_cast<const T*>(args.dy), static_cast<const Index*>(args.indices),
                             static_cast<T*>(args.dx));
        },
        args.dy, args.indices, args.dx);
  });
}

void launch(const AvgPool& args, LaunchStream stream) {
  launch_pixels(
      args.shape, args.shape.out_height, args.shape.out_width,
      [&]<typename T, int V>(Dim3 blocks) {
        launch_independent(avg_pool_kernel<T, V>, blocks, kThreads, 0, stream, args.shape, args.count_include_pad,
                           static_cast<const T*>(args.x), static_cast<T*>(args.y));
      },
      args.x, args.y);
}

void launch(const AvgPoolBackward& args, LaunchStream stream) {
  launch_pixels(
      args.shape, args.shape.height, args.shape.width,
      [&]<typename T, int V>(Dim3 blocks) {
        launch_independent(avg_pool_backward_kernel<T, V>, blocks, kThreads, 0, stream, args.shape,
                           args.count_include_pad, static_cast<const T*>(args.dy), static_cast<T*>(args.dx));
      },
      args.dy, args.dx);
}

}  // namespace athanor::kernels::cuda
