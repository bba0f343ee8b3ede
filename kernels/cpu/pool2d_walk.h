// How pooling walks an activation of any layout: planes, windows cut to the input, lanes, and the gather of a gradient.
#pragma once

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/simd.h"
#include "kernels/pool2d.h"

namespace athanor::kernels::ATHANOR_ISA {

struct Range {
  std::int64_t begin, end;
};

inline std::int64_t smaller(std::int64_t a, std::int64_t b) {
  return a < b ? a : b;
}
inline std::int64_t larger(std::int64_t a, std::int64_t b) {
  return a > b ? a : b;
}

/// The window of output `out`, cut to the input.
inline Range window_of(std::int64_t out, std::int64_t stride, std::int64_t pad, std::int64_t kernel,
                       std::int64_t size) {
  const std::int64_t start = out * stride - pad;
  return {larger(start, 0), smaller(start + kernel, size)};
}

/// The outputs whose windows hold input `in`.
inline Range outputs_of(std::int64_t in, std::int64_t stride, std::int64_t pad, std::int64_t kernel,
                        std::int64_t outputs) {
  const std::int64_t last = (in + pad) / stride, before = in + pad - kernel;
  return {before < 0 ? 0 : before / stride + 1, smaller(last + 1, outputs)};
}

/// The lane of a plain layout; what for_vectors visits are Full and Partial.
struct One {};
template <typename T>
ATHANOR_INLINE float load(const T* p, One) {
  return to_float(*p);
}
template <typename T>
ATHANOR_INLINE void store(T* p, float value, One) {
  put(*p, value);
}
ATHANOR_INLINE std::int32_t load_integers(const std::int32_t* p, One) {
  return *p;
}
ATHANOR_INLINE void store_integers(std::int32_t* p, std::int32_t value, One) {
  *p = value;
}

/// Calls visit(lane, Full, Partial or One) for all lanes of a pixel.
template <typename F>
ATHANOR_INLINE void for_lanes(const Pool2d& pool, F&& visit) {
  if (pool.input.lanes == 1) {
    visit(std::int64_t{0}, One{});
  } else {
    for_vectors(0, pool.input.lanes, visit);
  }
}

/// Calls run(x of the plane, output's offset of the plane) for every plane of (n, g).
template <typename T, typename F>
void for_planes(const Pool2d& pool, T* x, F&& run) {
  const std::int64_t lanes = pool.input.lanes;
  parallel_items(pool.threads, pool.input.batch * pool.input.groups, [&](std::int64_t plane) {
    run(x + plane * pool.height * pool.width * lanes, plane * pool.out_height * pool.out_width * lanes);
  });
}

/// Gathers row iy of dx, columns [begin, end): the sum of term(output's offset, oy, ox, place in the window, part) over
/// the outputs whose windows hold an input, in their order. One rounding an element.
template <typename T, typename F>
ATHANOR_INLINE void gather(const Pool2d& pool, T* dx, std::int64_t iy, std::int64_t begin, std::int64_t end, F&& term) {
  const std::int64_t pitch = pool.input.lanes;
  const Range rows = outputs_of(iy, pool.stride_y, pool.pad_y, pool.kernel_y, pool.out_height);
  for (std::int64_t ix = begin; ix < end; ++ix) {
    const Range columns = outputs_of(ix, pool.stride_x, pool.pad_x, pool.kernel_x, pool.out_width);
    T* to = dx + (iy * pool.width + ix) * pitch;
    for_lanes(
        pool, [&](std::int64_t v, auto part) __attribute__((always_inline)) {
          auto sum = decltype(load(to, part)){};
          for (std::int64_t oy = rows.begin; oy < rows.end; ++oy) {
            const std::int64_t ky = iy + pool.pad_y - oy * pool.stride_y;
            for (std::int64_t ox = columns.begin; ox < columns.end; ++ox) {
              const std::int64_t kx = ix + pool.pad_x - ox * pool.stride_x;
              sum += term((oy * pool.out_width + ox) * pitch + v, oy, ox, ky * pool.kernel_x + kx, part);
            }
          }
          store(to + v, sum, part);
        });
  }
}

}  // namespace athanor::kernels::ATHANOR_ISA
