#include "kernels/pool2d.h"

#include <type_traits>

#include "kernels/cpu/max_pool_gather.h"

namespace athanor::kernels::ATHANOR_ISA {
namespace {

template <std::int64_t kValue>
using Constant = std::integral_constant<std::int64_t, kValue>;

/// The maximum over [begin, end) of the rows and columns of the window that starts at x; where bounds and width are
/// constants the loops unroll. `places` may be null.
template <typename T, typename Part>
ATHANOR_INLINE void max_window(const Pool2d& pool, const T* x, T* y, PoolIndex* places, Part part, auto width,
                               auto y_begin, auto y_end, auto x_begin, auto x_end) {
  const std::int64_t pitch = pool.input.lanes, row = pool.width * pitch;
  auto best = load(x + y_begin * row + x_begin * pitch, part);
  auto place = decltype(load_integers(places, part)){} + static_cast<std::int32_t>(y_begin * width + x_begin);
  for (std::int64_t ky = y_begin; ky < y_end; ++ky) {
    for (std::int64_t kx = x_begin; kx < x_end; ++kx) {
      const auto value = load(x + ky * row + kx * pitch, part);
      const auto wins = (value > best) | (value != value);
      best = wins ? value : best;
      place = wins ? decltype(place){} + static_cast<std::int32_t>(ky * width + kx) : place;
    }
  }
  store(y, best, part);
  if (places) store_integers(places, place, part);
}

/// One row of outputs. kKernel: of a square window, or 0 for any.
template <std::int64_t kKernel, typename T>
void max_pool_row(const Pool2d& pool, std::int64_t oy, const T* x, T* y, PoolIndex* places) {
  const std::int64_t pitch = pool.input.lanes;
  const std::int64_t top = oy * pool.stride_y - pool.pad_y;
  const Range rows = window_of(oy, pool.stride_y, pool.pad_y, pool.kernel_y, pool.height);
  const bool has_all_rows = rows.end - rows.begin == kKernel;
  for (std::int64_t ox = 0; ox < pool.out_width; ++ox) {
    const std::int64_t left = ox * pool.stride_x - pool.pad_x;
    const Range columns = window_of(ox, pool.stride_x, pool.pad_x, pool.kernel_x, pool.width);
    const T* window = x + (top * pool.width + left) * pitch;
    const std::int64_t at = ox * pitch;
    const bool is_whole = has_all_rows && columns.end - columns.begin == kKernel;
    for_lanes(
        pool, [&](std::int64_t v, auto part) __attribute__((always_inline)) {
          PoolIndex* to = places ? places + at + v : nullptr;
          if (is_whole) {
            using Begin = Constant<0>;
            using End = Constant<kKernel>;
            max_window(pool, window + v, y + at + v, to, part, End{}, Begin{}, End{}, Begin{}, End{});
          } else {
            max_window(pool, window + v, y + at + v, to, part, pool.kernel_x, rows.begin - top, rows.end - top,
                       columns.begin - left, columns.end - left);
          }
        });
  }
}

void max_pool(const Pool2d& pool, const void* x_data, void* y_data, PoolIndex* places) {
  const std::int64_t pitch = pool.out_width * pool.input.lanes;
  with_type(pool.dtype, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    const bool is_square = pool.kernel_y == pool.kernel_x;
    const auto row = is_square && pool.kernel_x == 2   ? max_pool_row<2, T>
                     : is_square && pool.kernel_x == 3 ? max_pool_row<3, T>
                                                       : max_pool_row<0, T>;
    for_planes(pool, static_cast<const T*>(x_data), [&](const T* x, std::int64_t output) {
      for (std::int64_t oy = 0; oy < pool.out_height; ++oy) {
        const std::int64_t at = output + oy * pitch;
        row(pool, oy, x, static_cast<T*>(y_data) + at, places ? places + at : nullptr);
      }
    });
  });
}

bool is_square(const Pool2d& pool, std::int64_t kernel, std::int64_t stride) {
  return pool.kernel_y == kernel && pool.kernel_x == kernel && pool.stride_y == stride && pool.stride_x == stride;
}

void max_pool_backward(const Pool2d& pool, const void* dy_data, const PoolIndex* places, void* dx_data) {
  with_type(pool.dtype, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    for_planes(pool, static_cast<T*>(dx_data), [&](T* dx, std::int64_t output) {
      const T* dy = static_cast<const T*>(dy_data) + output;
      if (is_square(pool, 2, 2)) {
        BlockedGather<2, 2, T>{pool, dy, places + output, dx}.run();
      } else if (is_square(pool, 3, 2)) {
        BlockedGather<3, 2, T>{pool, dy, places + output, dx}.run();
      } else {
        PlainGather<T>{{pool, dy, places + output, dx}}.run();
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
  const std::int64_t pitch = pool.input.lanes;
  with_type(pool.dtype, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    for_planes(pool, static_cast<const T*>(x_data), [&](const T* x, std::int64_t output) {
      T* y = static_cast<T*>(y_data) + output;
      for (std::int64_t oy = 0; oy < pool.out_height; ++oy) {
        const Range rows = window_of(oy, pool.stride_y, pool.pad_y, pool.kernel_y, pool.height);
        for (std::int64_t ox = 0; ox < pool.out_width; ++ox) {
          const Range columns = window_of(ox, pool.stride_x, pool.pad_x, pool.kernel_x, pool.width);
          const float share = share_of(pool, oy, ox);
          T* to = y + (oy * pool.out_width + ox) * pitch;
          for_lanes(
              pool, [&](std::int64_t v, auto part) __attribute__((always_inline)) {
                auto sum = decltype(load(to, part)){};
                for (std::int64_t iy = rows.begin; iy < rows.end; ++iy) {
                  for (std::int64_t ix = columns.begin; ix < columns.end; ++ix) {
                    sum += load(x + (iy * pool.width + ix) * pitch + v, part);
                  }
                }
                store(to + v, sum * share, part);
              });
        }
      }
    });
  });
}

void avg_pool_backward(const Pool2d& pool, const void* dy_data, void* dx_data) {
  with_type(pool.dtype, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    for_planes(pool, static_cast<T*>(dx_data), [&](T* dx, std::int64_t output) {
      const T* dy = static_cast<const T*>(dy_data) + output;
      const auto term = [&](std::int64_t at, std::int64_t oy, std::int64_t ox, std::int64_t, auto part)
          __attribute__((always_inline)) {
        return load(dy + at, part) * share_of(pool, oy, ox);
      };
      for (std::int64_t iy = 0; iy < pool.height; ++iy) gather(pool, dx, iy, 0, pool.width, term);
    });
  });
}

}  // namespace

extern const Pool2dKernels pool2d_table = {max_pool, max_pool_backward, avg_pool, avg_pool_backward};

}  // namespace athanor::kernels::ATHANOR_ISA
