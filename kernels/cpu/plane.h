// How a per-channel kernel walks an activation of any layout with full vectors. A run of whole pixels of one channel
// group is contiguous; seen as a matrix of `width` columns, each column belongs to one channel, so that per-channel
// values are read beside the data as a pattern. Three shapes of that matrix:
//   uniform   kWidth % lanes == 0 (NCHW, nChw8c, nChw16c on AVX-512): one vector of the pattern serves all;
//   repeated  few lanes: the pattern repeats until it is a whole number of vectors;
//   rows      many lanes (NHWC): a row is a pixel.
#pragma once

#include "kernels/channel_view.h"
#include "kernels/cpu/simd.h"

namespace athanor::kernels::ATHANOR_ISA {

inline constexpr int kMaxRepeatedLanes = 64;
inline constexpr int kMaxPattern = kMaxRepeatedLanes * kWidth;
inline constexpr int kUnroll = 4;
/// Terms added to one accumulator before it is added to the next level: keeps rounding errors far below √n of them.
inline constexpr int kCascade = 16;

enum class WalkKind { uniform, repeated, rows };

struct Walk {
  WalkKind kind;
  std::int64_t lanes;
  std::int64_t width;         ///< columns of the matrix
  std::int64_t block_pixels;  ///< pixels whose sums are taken in float before they go to double
};

inline Walk walk_of(const ChannelView& view) {
  const std::int64_t lanes = view.lanes;
  const std::int64_t block = 4096 / lanes < 32 ? 32 : 4096 / lanes;
  if (kWidth % lanes == 0) return {WalkKind::uniform, lanes, kWidth * kUnroll, block};
  if (lanes <= kMaxRepeatedLanes) {
    std::int64_t width = lanes;
    while (width % kWidth != 0) width += lanes;
    while (width < 2 * kMaxRepeatedLanes && width * 2 <= kMaxPattern) width *= 2;
    return {WalkKind::repeated, lanes, width, block};
  }
  return {WalkKind::rows, lanes, lanes, block};
}

/// Per-channel values laid beside the columns. The array that it is made from has kWidth readable floats of padding.
template <bool kUniform>
class Pattern {
 public:
  Pattern(const Walk& walk, const float* of_lanes) { assign(walk, of_lanes); }
  Pattern(const Pattern&) = delete;

  void assign(const Walk& walk, const float* of_lanes) {
    values_ = of_lanes;
    if (walk.kind == WalkKind::rows) return;
    const std::int64_t width = kUniform ? kWidth : walk.width;
    std::int64_t lane = 0;
    for (std::int64_t i = 0; i < width; ++i) {
      repeated_[i] = of_lanes[lane];
      if (++lane == walk.lanes) lane = 0;
    }
    values_ = repeated_;
    if constexpr (kUniform) vector_ = load(repeated_);
  }

  [[gnu::always_inline]] Vec at(std::int64_t column) const {
    if constexpr (kUniform) return vector_;
    return load(values_ + column);
  }

 private:
  Vec vector_{};
  const float* values_ = nullptr;
  float repeated_[kUniform ? kWidth : kMaxPattern];
};

/// Calls visit(offset, column, Full or Partial) over `pixels` pixels from `offset`.
template <bool kUniform, typename F>
ATHANOR_INLINE void for_columns(const Walk& walk, std::int64_t offset, std::int64_t pixels, F&& visit) {
  const std::int64_t end = offset + pixels * walk.lanes;
  if constexpr (kUniform) {
    for_vectors(
        offset, end, [&](std::int64_t i, auto part) __attribute__((always_inline)) { visit(i, 0, part); });
  } else {
    for (std::int64_t row = offset; row < end; row += walk.width) {
      const std::int64_t columns = walk.width < end - row ? walk.width : end - row;
      for_vectors(
          0, columns, [&](std::int64_t j, auto part) __attribute__((always_inline)) { visit(row + j, j, part); });
    }
  }
}

struct Two {
  Vec a, b;
};

/// Sums of kCount neighbouring column vectors over rows, of two kinds of terms at once.
template <int kCount, typename Part, typename F, typename Sink>
ATHANOR_INLINE void sum_rows(std::int64_t offset, std::int64_t rows, std::int64_t pitch, std::int64_t column, Part part,
                             F&& terms, Sink&& sink) {
  Vec a[kCount]{}, b[kCount]{};
  for (std::int64_t row = 0; row < rows; row += kCascade) {
    const std::int64_t end = row + kCascade < rows ? row + kCascade : rows;
    Vec run_a[kCount]{}, run_b[kCount]{};
    for (std::int64_t r = row; r < end; ++r) {
#pragma GCC unroll 4
      for (int k = 0; k < kCount; ++k) {
        const Two t = terms(offset + r * pitch + column + k * kWidth, column + k * kWidth, part);
        run_a[k] += zero_beyond(t.a, part);
        run_b[k] += zero_beyond(t.b, part);
      }
    }
#pragma GCC unroll 4
    for (int k = 0; k < kCount; ++k) {
      a[k] += run_a[k];
      b[k] += run_b[k];
    }
  }
#pragma GCC unroll 4
  for (int k = 0; k < kCount; ++k) sink(column + k * kWidth, a[k], b[k]);
}

/// Adds to sums[2 · lane] and sums[2 · lane + 1] the sums of the two kinds of terms(offset, column, part) over `pixels`
/// pixels from `offset`; at most a few hundred terms are added in float before they go to double.
template <bool kUniform, typename F>
ATHANOR_INLINE void add_sums(const Walk& walk, std::int64_t offset, std::int64_t pixels, double* sums, F&& terms) {
  const std::int64_t elements = pixels * walk.lanes;
  if constexpr (kUniform) {
    Vec total_a{}, total_b{};
    const auto keep = [&](std::int64_t, Vec a, Vec b) __attribute__((always_inline)) {
      total_a += a;
      total_b += b;
    };
    const std::int64_t rows = elements / walk.width;
    sum_rows<kUnroll>(offset, rows, walk.width, 0, Full{}, terms, keep);
    for_vectors(
        offset + rows * walk.width, offset + elements, [&](std::int64_t i, auto part) __attribute__((always_inline)) {
          const Two t = terms(i, std::int64_t{0}, part);
          keep(0, zero_beyond(t.a, part), zero_beyond(t.b, part));
        });
    float a[kWidth], b[kWidth];
    store(a, total_a);
    store(b, total_b);
    for (int half = kWidth / 2; half >= walk.lanes; half /= 2) {
      for (int i = 0; i < half; ++i) {
        a[i] += a[i + half];
        b[i] += b[i + half];
      }
    }
    for (std::int64_t lane = 0; lane < walk.lanes; ++lane) {
      sums[2 * lane] += a[lane];
      sums[2 * lane + 1] += b[lane];
    }
  } else {
    const std::int64_t rows = elements / walk.width;
    const auto sum_columns = [&](std::int64_t first, std::int64_t count, std::int64_t columns)
        __attribute__((always_inline)) {
      const auto keep = [&](std::int64_t column, Vec va, Vec vb) __attribute__((always_inline)) {
        float a[kWidth], b[kWidth];
        store(a, va);
        store(b, vb);
        const std::int64_t used = kWidth < columns - column ? kWidth : columns - column;
        std::int64_t lane = column % walk.lanes;
        for (std::int64_t i = 0; i < used; ++i) {
          sums[2 * lane] += a[i];
          sums[2 * lane + 1] += b[i];
          if (++lane == walk.lanes) lane = 0;
        }
      };
      std::int64_t column = 0;
      for (; column + kUnroll * kWidth <= columns; column += kUnroll * kWidth) {
        sum_rows<kUnroll>(first, count, walk.width, column, Full{}, terms, keep);
      }
      for_vectors(
          column, columns, [&](std::int64_t j, auto part) __attribute__((always_inline)) {
            sum_rows<1>(first, count, walk.width, j, part, terms, keep);
          });
    };
    if (rows > 0) sum_columns(offset, rows, walk.width);
    if (rows * walk.width < elements) sum_columns(offset + rows * walk.width, 1, elements - rows * walk.width);
  }
}

/// The rows (n, p) of channel group g, cut into at most `block_pixels` pixels: visit(offset, pixels) for [begin, end).
template <typename F>
ATHANOR_INLINE void for_blocks(const ChannelView& view, std::int64_t group, std::int64_t begin, std::int64_t end,
                               std::int64_t block_pixels, F&& visit) {
  while (begin < end) {
    const std::int64_t n = begin / view.pixels, p = begin % view.pixels;
    std::int64_t pixels = view.pixels - p < end - begin ? view.pixels - p : end - begin;
    if (pixels > block_pixels) pixels = block_pixels;
    visit(((n * view.groups + group) * view.pixels + p) * view.lanes, pixels);
    begin += pixels;
  }
}

/// How many slices of the rows make the work of `groups` groups even for `threads` threads.
inline int slices_for(const ChannelView& view, int threads) {
  return threads <= 1 || view.groups % threads == 0 || view.groups >= 8 * threads ? 1 : threads;
}

}  // namespace athanor::kernels::ATHANOR_ISA
