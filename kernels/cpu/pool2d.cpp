#include "kernels/pool2d.h"

#include <type_traits>

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/simd.h"

namespace athanor::kernels::ATHANOR_ISA {
namespace {

/// Lanes handled together: the loops over them are what the compiler vectorises.
constexpr std::int64_t kLanes = 16;

struct Range {
  std::int64_t begin, end;
};

std::int64_t smaller(std::int64_t a, std::int64_t b) {
  return a < b ? a : b;
}
std::int64_t larger(std::int64_t a, std::int64_t b) {
  return a > b ? a : b;
}

/// The window of output `out`, cut to the input.
Range window_of(std::int64_t out, std::int64_t stride, std::int64_t pad, std::int64_t kernel, std::int64_t size) {
  const std::int64_t start = out * stride - pad;
  return {larger(start, 0), smaller(start + kernel, size)};
}

/// The outputs whose windows hold input `in`.
Range outputs_of(std::int64_t in, std::int64_t stride, std::int64_t pad, std::int64_t kernel, std::int64_t outputs) {
  const std::int64_t last = (in + pad) / stride, before = in + pad - kernel;
  return {before < 0 ? 0 : before / stride + 1, smaller(last + 1, outputs)};
}

/// Calls run(plane of (n, g), first lane, lanes) with the lanes a constant 1 or kLanes where possible.
template <typename F>
void for_lanes(const Pool2d& pool, F&& run) {
  const std::int64_t lanes = pool.input.lanes;
  parallel_items(pool.threads, pool.input.batch * pool.input.groups, [&](std::int64_t plane) {
    if (lanes == 1) return run(plane, std::int64_t{0}, std::integral_constant<std::int64_t, 1>{});
    std::int64_t v = 0;
    for (; v + kLanes <= lanes; v += kLanes) run(plane, v, std::integral_constant<std::int64_t, kLanes>{});
    if (v < lanes) run(plane, v, lanes - v);
  });
}

template <typename T, typename Lanes>
ATHANOR_INLINE void max_window(const Pool2d& pool, const T* x, Range rows, Range columns, std::int64_t origin,
                               Lanes count, float* best, std::int32_t* index) {
  const std::int64_t pitch = pool.input.lanes;
  for (std::int64_t v = 0; v < count; ++v) {
    best[v] = -__builtin_inff();
    index[v] = static_cast<std::int32_t>(rows.begin * pool.kernel_x + columns.begin - origin);
  }
  for (std::int64_t iy = rows.begin; iy < rows.end; ++iy) {
    for (std::int64_t ix = columns.begin; ix < columns.end; ++ix) {
      const T* from = x + (iy * pool.width + ix) * pitch;
      const auto place = static_cast<std::int32_t>(iy * pool.kernel_x + ix - origin);
      for (std::int64_t v = 0; v < count; ++v) {
        const float value = to_float(from[v]);
        const bool wins = (value > best[v]) | (value != value);
        best[v] = wins ? value : best[v];
        index[v] = wins ? place : index[v];
      }
    }
  }
}

void max_pool(const Pool2d& pool, const void* x_data, void* y_data, PoolIndex* indices) {
  const std::int64_t pitch = pool.input.lanes, outputs = pool.out_height * pool.out_width;
  with_type(pool.dtype, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    for_lanes(pool, [&](std::int64_t plane, std::int64_t first, auto count) {
      const T* x = static_cast<const T*>(x_data) + plane * pool.height * pool.width * pitch + first;
      const std::int64_t out_plane = plane * outputs * pitch + first;
      for (std::int64_t oy = 0; oy < pool.out_height; ++oy) {
        const Range rows = window_of(oy, pool.stride_y, pool.pad_y, pool.kernel_y, pool.height);
        for (std::int64_t ox = 0; ox < pool.out_width; ++ox) {
          const Range columns = window_of(ox, pool.stride_x, pool.pad_x, pool.kernel_x, pool.width);
          const std::int64_t origin =
              (oy * pool.stride_y - pool.pad_y) * pool.kernel_x + ox * pool.stride_x - pool.pad_x;
          float best[kLanes];
          std::int32_t index[kLanes];
          max_window(pool, x, rows, columns, origin, count, best, index);
          const std::int64_t at = out_plane + (oy * pool.out_width + ox) * pitch;
          T* y = static_cast<T*>(y_data) + at;
          for (std::int64_t v = 0; v < count; ++v) put(y[v], best[v]);
          if (!indices) continue;
          for (std::int64_t v = 0; v < count; ++v) indices[at + v] = static_cast<PoolIndex>(index[v]);
        }
      }
    });
  });
}

/// Gathers dx: for every input, add(at, ky, kx, sums) for the outputs whose windows hold it. One rounding an element.
template <typename T, typename F>
ATHANOR_INLINE void gather(const Pool2d& pool, T* dx_data, F&& add) {
  const std::int64_t pitch = pool.input.lanes, outputs = pool.out_height * pool.out_width;
  for_lanes(pool, [&](std::int64_t plane, std::int64_t first, auto count) {
    T* dx = dx_data + plane * pool.height * pool.width * pitch + first;
    for (std::int64_t iy = 0; iy < pool.height; ++iy) {
      const Range rows = outputs_of(iy, pool.stride_y, pool.pad_y, pool.kernel_y, pool.out_height);
      for (std::int64_t ix = 0; ix < pool.width; ++ix) {
        const Range columns = outputs_of(ix, pool.stride_x, pool.pad_x, pool.kernel_x, pool.out_width);
        float sums[kLanes] = {};
        for (std::int64_t oy = rows.begin; oy < rows.end; ++oy) {
          for (std::int64_t ox = columns.begin; ox < columns.end; ++ox) {
            const std::int64_t ky = iy + pool.pad_y - oy * pool.stride_y, kx = ix + pool.pad_x - ox * pool.stride_x;
            const std::int64_t at = (plane * outputs + oy * pool.out_width + ox) * pitch + first;
            add(at, oy, ox, ky * pool.kernel_x + kx, count, sums);
          }
        }
        T* to = dx + (iy * pool.width + ix) * pitch;
        for (std::int64_t v = 0; v < count; ++v) put(to[v], sums[v]);
      }
    }
  });
}

void max_pool_backward(const Pool2d& pool, const void* dy_data, const PoolIndex* indices, void* dx_data) {
  with_type(pool.dtype, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    const T* dy = static_cast<const T*>(dy_data);
    gather(
        pool, static_cast<T*>(dx_data),
        [&](std::int64_t at, std::int64_t, std::int64_t, std::int64_t place, auto count, float* sums)
            __attribute__((always_inline)) {
              for (std::int64_t v = 0; v < count; ++v) {
                const float value = to_float(dy[at + v]);
                sums[v] += indices[at + v] == place ? value : 0.0f;
              }
            });
  });
}

/// 1 / the elements that the average of output (oy, ox) is over.
ATHANOR_INLINE float share_of(const Pool2d& pool, std::int64_t oy, std::int64_t ox) {
  if (pool.count_include_pad) return 1.0f / static_cast<float>(pool.kernel_y * pool.kernel_x);
  const Range rows = window_of(oy, pool.stride_y, pool.pad_y, pool.kernel_y, pool.height);
  const Range columns = window_of(ox, pool.stride_x, pool.pad_x, pool.kernel_x, pool.width);
  return 1.0f / static_cast<float>((rows.end - rows.begin) * (columns.end - columns.begin));
}

void avg_pool(const Pool2d& pool, const void* x_data, void* y_data) {
  const std::int64_t pitch = pool.input.lanes, outputs = pool.out_height * pool.out_width;
  with_type(pool.dtype, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    for_lanes(pool, [&](std::int64_t plane, std::int64_t first, auto count) {
      const T* x = static_cast<const T*>(x_data) + plane * pool.height * pool.width * pitch + first;
      T* y = static_cast<T*>(y_data) + plane * outputs * pitch + first;
      for (std::int64_t oy = 0; oy < pool.out_height; ++oy) {
        const Range rows = window_of(oy, pool.stride_y, pool.pad_y, pool.kernel_y, pool.height);
        for (std::int64_t ox = 0; ox < pool.out_width; ++ox) {
          const Range columns = window_of(ox, pool.stride_x, pool.pad_x, pool.kernel_x, pool.width);
          float sums[kLanes] = {};
          for (std::int64_t iy = rows.begin; iy < rows.end; ++iy) {
            for (std::int64_t ix = columns.begin; ix < columns.end; ++ix) {
              const T* from = x + (iy * pool.width + ix) * pitch;
              for (std::int64_t v = 0; v < count; ++v) sums[v] += to_float(from[v]);
            }
          }
          const float share = share_of(pool, oy, ox);
          T* to = y + (oy * pool.out_width + ox) * pitch;
          for (std::int64_t v = 0; v < count; ++v) put(to[v], sums[v] * share);
        }
      }
    });
  });
}

void avg_pool_backward(const Pool2d& pool, const void* dy_data, void* dx_data) {
  with_type(pool.dtype, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    const T* dy = static_cast<const T*>(dy_data);
    gather(
        pool, static_cast<T*>(dx_data),
        [&](std::int64_t at, std::int64_t oy, std::int64_t ox, std::int64_t, auto count, float* sums)
            __attribute__((always_inline)) {
              const float share = share_of(pool, oy, ox);
              for (std::int64_t v = 0; v < count; ++v) sums[v] += to_float(dy[at + v]) * share;
            });
  });
}

}  // namespace

extern const Pool2dKernels pool2d_table = {max_pool, max_pool_backward, avg_pool, avg_pool_backward};

}  // namespace athanor::kernels::ATHANOR_ISA
