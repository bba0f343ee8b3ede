// Random convolutions for the tests of Winograd's kernels, and what direct summation says of them.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <vector>

#include "kernels/kernel_testing.h"
#include "kernels/winograd.h"

namespace athanor::kernels::testing::winograd {

inline std::int64_t width_of(Isa isa) {
  return isa == Isa::avx512 ? 16 : isa == Isa::avx2 ? 8 : 4;
}

struct Scratch {
  explicit Scratch(std::size_t bytes)
      : memory(static_cast<char*>(std::aligned_alloc(64, (bytes + 63) / 64 * 64)), std::free) {
    std::memset(memory.get(), 0xff, bytes);  // NaN wherever something is read that was not written
  }
  std::unique_ptr<char, void (*)(void*)> memory;
};

/// Random tensors of one convolution. Channels are counted in vectors of `isa`.
struct Case {
  Isa isa;
  WinogradShape shape;
  ChannelView in, out;
  std::vector<float> x, weight, bias, residual, scale, shift;

  Case(Isa isa, WinogradShape s, double mean = 0) : isa(isa), shape(s) {
    const std::int64_t v = width_of(isa);
    in = {s.batch, s.in_channels / v, s.height * s.width, v};
    out = {s.batch, s.out_channels / v, s.out_height * s.out_width, v};
    x = random_floats(in.elements(), 1, mean);
    weight = random_floats(9 * s.in_channels * s.out_channels, 2, mean);
    bias = random_floats(s.out_channels, 3);
    residual = random_floats(out.elements(), 4);
    scale = random_floats(s.in_channels, 5);
    shift = random_floats(s.in_channels, 6);
  }

  /// The weight of in-channel c, out-channel o as the call reads it.
  float weight_at(bool turned, std::int64_t c, std::int64_t o, std::int64_t i, std::int64_t j) const {
    const std::int64_t v = in.lanes, rows = turned ? c : o, columns = turned ? o : c;
    const std::int64_t groups = (turned ? shape.out_channels : shape.in_channels) / v;
    const std::int64_t tap = turned ? 8 - (3 * i + j) : 3 * i + j;
    const std::int64_t block = (rows / v * groups + columns / v) * 9 + tap;
    return weight[static_cast<std::size_t>((block * v + columns % v) * v + rows % v)];
  }

  WinogradConvolution args() const { return {.shape = shape, .x = x.data(), .weight = weight.data()}; }

  std::vector<float> run(WinogradConvolution args) const {
    std::vector<float> y(static_cast<std::size_t>(out.elements()), -1e30f);
    const Scratch scratch(winograd_scratch_bytes(shape, args.threads, isa));
    args.y = y.data();
    args.scratch = scratch.memory.get();
    winograd_kernels(isa).convolve(args);
    return y;
  }

  /// Direct summation in `Real`.
  template <typename Real>
  std::vector<Real> direct(bool turned) const {
    const std::int64_t channels = shape.in_channels, v = out.lanes;
    std::vector<Real> w(weight.size()), y(static_cast<std::size_t>(out.elements()));
    for (std::int64_t i = 0; i < 9 * channels * shape.out_channels; ++i) {
      const std::int64_t o = i % shape.out_channels, c = i / shape.out_channels % channels;
      const std::int64_t tap = i / shape.out_channels / channels;
      w[static_cast<std::size_t>(i)] = static_cast<Real>(weight_at(turned, c, o, tap / 3, tap % 3));
    }
    for (std::int64_t at = 0; at < out.elements(); at += v) {
      const std::int64_t p = at / v % out.pixels, group = at / v / out.pixels % out.groups;
      const std::int64_t n = at / v / out.pixels / out.groups;
      for (std::int64_t tap = 0; tap < 9; ++tap) {
        const std::int64_t row = p / shape.out_width - shape.pad_top + tap / 3;
        const std::int64_t column = p % shape.out_width - shape.pad_left + tap % 3;
        if (row < 0 || row >= shape.height || column < 0 || column >= shape.width) continue;
        for (std::int64_t c = 0; c < channels; ++c) {
          const auto value =
              static_cast<Real>(x[static_cast<std::size_t>(offset_of(in, n, c, row * shape.width + column))]);
          const Real* weights = w.data() + (tap * channels + c) * shape.out_channels + group * v;
          for (std::int64_t lane = 0; lane < v; ++lane) y[static_cast<std::size_t>(at + lane)] += weights[lane] * value;
        }
      }
    }
    return y;
  }
};

inline double rms(const std::vector<double>& values) {
  double sum = 0;
  for (const double v : values) sum += v * v;
  return std::sqrt(sum / static_cast<double>(values.size()));
}
inline double rms_difference(const std::vector<float>& a, const std::vector<double>& b) {
  std::vector<double> d(b.size());
  for (std::size_t i = 0; i < b.size(); ++i) d[i] = static_cast<double>(a[i]) - b[i];
  return rms(d);
}

/// Odd sizes, all paddings (negative: a crop), unequal channels, images below a tile, many tiles, channels whose
/// weights exceed what is kept; v: the vector's width.
inline std::vector<WinogradShape> shapes(std::int64_t v) {
  return {{2, v, v, 8, 8, 8, 8, 1, 1},       {3, 2 * v, 3 * v, 7, 9, 7, 9, 1, 1},     {1, 3 * v, v, 5, 6, 3, 4, 0, 0},
          {2, v, 2 * v, 6, 11, 8, 13, 2, 2}, {1, v, 2 * v, 1, 1, 1, 1, 1, 1},         {2, v, v, 3, 2, 3, 2, 1, 1},
          {1, v, v, 9, 5, 10, 4, 2, 0},      {5, 2 * v, 2 * v, 23, 21, 23, 21, 1, 1}, {1, 96, 80, 14, 14, 14, 14, 1, 1},
          {1, 64, 96, 45, 42, 45, 42, 1, 1}, {1, 320, 16, 6, 6, 6, 6, 1, 1}};
}

}  // namespace athanor::kernels::testing::winograd
