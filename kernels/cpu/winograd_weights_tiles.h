// A row of tiles of an image, kWidth channels of it, brought into Winograd's domain.
#pragma once

#include <algorithm>

#include "kernels/cpu/winograd_weights_transforms.h"

namespace athanor::kernels::ATHANOR_ISA::winograd_weights {

/// [height, width, kWidth] of one image; what is read outside is zero.
struct Plane {
  const float* data;
  std::int64_t height, width;
};

/// What becomes of x before the transform: x · scale + shift, no less than `low`.
struct Affine {
  Vec scale, shift, low;
};

/// At most this many tiles of a row at a time, so that their columns stay in the first cache.
inline constexpr int kRun = 14;
inline constexpr int kColumns = kOutputs * kRun + kTaps - 1;

/// kRows rows of a plane from row `top` and column `left` (inside it) on. Rows outside are of zeros, kColumns of them.
template <int kRows>
struct Rows {
  const float* data[kRows];
  bool inside[kRows];
  std::int64_t below;  ///< floats from a row to that of the next row of tiles

  Rows(const Plane& plane, std::int64_t top, std::int64_t left) : below(kOutputs * plane.width * kWidth) {
    alignas(64) static constexpr float kZeros[kColumns * kWidth]{};
    for (int r = 0; r < kRows; ++r) {
      const std::int64_t y = top + r;
      inside[r] = y >= 0 && y < plane.height;
      data[r] = inside[r] ? plane.data + (y * plane.width + left) * kWidth : kZeros;
    }
  }
  /// A row of tiles is a few short pieces of memory, too short for the processor to foresee the next row's.
  void prefetch_below(int row, std::int64_t column) const { __builtin_prefetch(data[row] + below + column * kWidth); }
};

/// Bᵀ · d of the columns [left, left + columns) of rows top to top + 5: strip[6][kColumns][kWidth].
template <bool kAffine>
ATHANOR_INLINE void transform_columns(const Plane& plane, std::int64_t top, std::int64_t left, int columns,
                                      const Affine& affine, float* strip) {
  constexpr int kRow = kColumns * kWidth;
  const int first = static_cast<int>(std::clamp<std::int64_t>(-left, 0, columns));
  const int last = static_cast<int>(std::clamp<std::int64_t>(plane.width - left, first, columns));
  const Rows<kInputs> rows(plane, top, left + first);
  Vec scale[kInputs], shift[kInputs];
  if constexpr (kAffine) {
    for (int r = 0; r < kInputs; ++r) {
      scale[r] = rows.inside[r] ? affine.scale : Vec{};
      shift[r] = rows.inside[r] ? affine.shift : Vec{};
    }
  }
  const auto clear = [&](int begin, int end) {
    for (int k = begin; k < end; ++k) {
      for (int i = 0; i < kInputs; ++i) store(strip + i * kRow + k * kWidth, Vec{});
    }
  };
  clear(0, first);
  for (std::int64_t k = 0; k < last - first; ++k) {
    Vec d[kInputs], v[kInputs];
#pragma GCC unroll 4
    for (int r = kTaps - 1; r < kInputs; ++r) rows.prefetch_below(r, k);
#pragma GCC unroll 6
    for (int r = 0; r < kInputs; ++r) {
      d[r] = in_register(load(rows.data[r] + k * kWidth));
      if constexpr (kAffine) d[r] = max(affine.low, fma(d[r], scale[r], shift[r]));
    }
    transform_input(d, v);
#pragma GCC unroll 6
    for (int i = 0; i < kInputs; ++i) store(strip + i * kRow + (first + k) * kWidth, v[i]);
  }
  clear(last, columns);
}

/// Bᵀ d B of `tiles` tiles in a row, the first of which begins at (top, left): out[36][position floats].
template <bool kAffine>
ATHANOR_INLINE void input_tiles(const Plane& plane, std::int64_t top, std::int64_t left, std::int64_t tiles,
                                const Affine& affine, float* out, std::int64_t position) {
  alignas(64) float strip[kInputs * kColumns * kWidth];
  for (std::int64_t begin = 0; begin < tiles; begin += kRun) {
    const int run = static_cast<int>(std::min<std::int64_t>(kRun, tiles - begin));
    transform_columns<kAffine>(plane, top, left + kOutputs * begin, kOutputs * run + kTaps - 1, affine, strip);
    for (std::int64_t t = 0; t < run; ++t) {
      float* tile = out + (begin + t) * kWidth;
#pragma GCC unroll 6
      for (int i = 0; i < kInputs; ++i) {
        Vec d[kInputs], v[kInputs];
#pragma GCC unroll 6
        for (int k = 0; k < kInputs; ++k) d[k] = in_register(load(strip + (i * kColumns + kOutputs * t + k) * kWidth));
        transform_input(d, v);
#pragma GCC unroll 6
        for (int j = 0; j < kInputs; ++j) store(tile + (i * kInputs + j) * position, v[j]);
      }
    }
  }
}

/// A · y · Aᵀ of the tile that begins at column `left` of the rows and has `columns` inside: out[36][position floats].
/// Adds its elements to `sum`.
ATHANOR_INLINE void gradient_tile(const Rows<kOutputs>& rows, std::int64_t left, int columns, float* out,
                                  std::int64_t position, Vec& sum) {
  Vec wide[kOutputs][kInputs];
#pragma GCC unroll 4
  for (int r = 0; r < kOutputs; ++r) {
    Vec y[kOutputs];
#pragma GCC unroll 4
    for (int k = 0; k < kOutputs; ++k) rows.prefetch_below(r, left + k);
#pragma GCC unroll 4
    for (int k = 0; k < kOutputs; ++k)
      y[k] = k < columns ? in_register(load(rows.data[r] + (left + k) * kWidth)) : Vec{};
    sum += (y[0] + y[1]) + (y[2] + y[3]);
    transform_gradient(y, wide[r]);
  }
#pragma GCC unroll 6
  for (int j = 0; j < kInputs; ++j) {
    const Vec y[kOutputs] = {wide[0][j], wide[1][j], wide[2][j], wide[3][j]};
    Vec v[kInputs];
    transform_gradient(y, v);
#pragma GCC unroll 6
    for (int i = 0; i < kInputs; ++i) store(out + (i * kInputs + j) * position, v[i]);
  }
}

/// The same for a whole row of tiles: out[36][position floats]. Returns the sum of its elements.
ATHANOR_INLINE Vec gradient_tiles(const Plane& plane, std::int64_t top, float* out, std::int64_t position) {
  Vec sum{};
  for (std::int64_t left = 0; left < plane.width; left += kOutputs * kRun) {
    const Rows<kOutputs> rows(plane, top, left);
    const std::int64_t columns = std::min<std::int64_t>(kOutputs * kRun, plane.width - left);
    float* run = out + left / kOutputs * kWidth;
    std::int64_t k = 0;
    for (; k + kOutputs <= columns; k += kOutputs) {
      gradient_tile(rows, k, kOutputs, run + k / kOutputs * kWidth, position, sum);
    }
    if (k < columns) {
      gradient_tile(rows, k, static_cast<int>(columns - k), run + k / kOutputs * kWidth, position, sum);
    }
  }
  return sum;
}

}  // namespace athanor::kernels::ATHANOR_ISA::winograd_weights
