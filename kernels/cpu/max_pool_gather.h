// The gradient of max pooling as a gather. Windows of the shapes that networks have are gathered by blocks of pixels,
// in registers; what is left at the borders, and all other windows, pixel by pixel. Both add in the same order.
#pragma once

#include "kernels/cpu/pool2d_walk.h"

namespace athanor::kernels::ATHANOR_ISA {

/// dy where the place of the maximum is this one, else 0.
template <typename T, typename Part>
ATHANOR_INLINE auto if_won(const T* dy, const PoolIndex* places, std::int64_t place, Part part) {
  const auto value = load(dy, part);
  return load_integers(places, part) == static_cast<std::int32_t>(place) ? value : decltype(value){};
}

/// A square window of constant size and stride. The inputs fall into blocks of stride · stride pixels; those of block
/// (oy, ox), which starts where the window of output (oy, ox) does, lie in the windows of the outputs (oy − i, ox − j),
/// i, j < kReach, only.
template <std::int64_t kKernel, std::int64_t kStride, typename T>
struct BlockedGather {
  static constexpr std::int64_t kReach = (kKernel + kStride - 1) / kStride;

  const Pool2d& pool;
  const T* dy;  ///< as the next ones: of the plane
  const PoolIndex* places;
  T* dx;

  /// Blocks of one axis all of whose pixels exist, as do all outputs that they look at.
  static Range whole_blocks(std::int64_t pad, std::int64_t size, std::int64_t outputs) {
    const std::int64_t first = larger(kReach - 1, (pad + kStride - 1) / kStride);
    return {first, larger(first, smaller(outputs, (size + pad) / kStride))};
  }

  /// `output`: offset of (oy, ox), lane included; `input`: of the first pixel of its block.
  template <typename Part>
  ATHANOR_INLINE void block(const BlockedGather& my, std::int64_t output, std::int64_t input, Part part) {
    const std::int64_t lanes = my.pool.input.lanes;
    const std::int64_t output_row = my.pool.out_width * lanes, input_row = my.pool.width * lanes;
#pragma GCC unroll 2
    for (std::int64_t y = 0; y < kStride; ++y) {
#pragma GCC unroll 2
      for (std::int64_t x = 0; x < kStride; ++x) {
        auto sum = decltype(load(my.dx, part)){};
#pragma GCC unroll 2
        for (std::int64_t i = kReach - 1; i >= 0; --i) {
#pragma GCC unroll 2
          for (std::int64_t j = kReach - 1; j >= 0; --j) {
            const std::int64_t ky = y + i * kStride, kx = x + j * kStride;
            if (ky >= kKernel || kx >= kKernel) continue;
            const std::int64_t at = output - i * output_row - j * lanes;
            sum += if_won(my.dy + at, my.places + at, ky * kKernel + kx, part);
          }
        }
        store(my.dx + input + y * input_row + x * lanes, sum, part);
      }
    }
  }

  void row_of_blocks(std::int64_t oy, Range columns) const {
    const std::int64_t lanes = pool.input.lanes, top = oy * kStride - pool.pad_y;
    for (std::int64_t ox = columns.begin; ox < columns.end; ++ox) {
      const std::int64_t output = (oy * pool.out_width + ox) * lanes;
      const std::int64_t input = (top * pool.width + ox * kStride - pool.pad_x) * lanes;
      for_lanes(
          pool, [&](std::int64_t v, auto part)
                    __attribute__((always_inline)) { block(*this, output + v, input + v, part); });
    }
  }

  void gather_rows(std::int64_t y_begin, std::int64_t y_end, std::int64_t x_begin, std::int64_t x_end) const {
    const auto term = [&](std::int64_t at, std::int64_t, std::int64_t, std::int64_t place, auto part)
        __attribute__((always_inline)) {
      return if_won(dy + at, places + at, place, part);
    };
    for (std::int64_t iy = y_begin; iy < y_end; ++iy) gather(pool, dx, iy, x_begin, x_end, term);
  }

  void run() const {
    const Range rows = whole_blocks(pool.pad_y, pool.height, pool.out_height);
    const Range columns = whole_blocks(pool.pad_x, pool.width, pool.out_width);
    const std::int64_t top = rows.begin * kStride - pool.pad_y, left = columns.begin * kStride - pool.pad_x;
    const std::int64_t right = columns.end * kStride - pool.pad_x;
    if (rows.begin == rows.end || columns.begin == columns.end) return gather_rows(0, pool.height, 0, pool.width);
    gather_rows(0, top, 0, pool.width);
    for (std::int64_t oy = rows.begin; oy < rows.end; ++oy) {
      const std::int64_t iy = oy * kStride - pool.pad_y;
      gather_rows(iy, iy + kStride, 0, left);
      row_of_blocks(oy, columns);
      gather_rows(iy, iy + kStride, right, pool.width);
    }
    gather_rows(rows.end * kStride - pool.pad_y, pool.height, 0, pool.width);
  }
};

/// Any window: no block is whole.
template <typename T>
struct PlainGather : BlockedGather<1, 1, T> {
  void run() const { this->gather_rows(0, this->pool.height, 0, this->pool.width); }
};

}  // namespace athanor::kernels::ATHANOR_ISA
