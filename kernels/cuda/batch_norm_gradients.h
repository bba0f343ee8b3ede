// What the backward kernels of batch norm share: the pass that sums gradients and the one that writes dx. Code of
// kernels: include it in .cu files only.
#pragma once

#include <cstdint>

#include "kernels/cuda/batch_norm_parts.h"

namespace athanor::kernels::cuda::batch_norm {

enum class Mask { none, recomputed, from_y, from_bits };

/// The largest number that becomes 0 when it is rounded to T: the forward output was 0 there although the sum before
/// the ReLU was positive.
template <typename T>
inline constexpr float kRoundsToZero = 0.0f;
template <>
inline constexpr float kRoundsToZero<Float16> = 0x1p-25f;
template <>
inline constexpr float kRoundsToZero<BFloat16> = 0x1p-134f;

/// What the gradient passes read, as one argument of a kernel.
template <typename T>
struct GradientInputs {
  const T* dy;
  const T* dy2;
  const T* x;
  const T* y;
  const std::uint8_t* mask;
  const float* mean;
};

/// dz and x of a thread's rows in a band.
template <Mask kMask, typename T, int V, int kUnroll>
struct GradientRows {
  RowPack<T, V> dy[kUnroll], dy2[kUnroll], x[kUnroll], y[kUnroll];
  unsigned bits[kUnroll];

  template <Reuse kReuse>
  ATHANOR_DEVICE void load(const GradientInputs<T>& from, std::int64_t at, std::int64_t stride, int present) {
    load_rows<kReuse>(dy, from.dy + at, stride, present);
    load_rows<kReuse>(x, from.x + at, stride, present);
    if constexpr (kMask == Mask::from_y) load_rows<kReuse>(y, from.y + at, stride, present);
    if constexpr (kMask == Mask::from_bits) {
#pragma unroll
      for (int u = 0; u < kUnroll; ++u) bits[u] = u < present ? from.mask[(at + u * stride) / 8] : 0;
    }
    if (from.dy2 != nullptr) {
      load_rows<kReuse>(dy2, from.dy2 + at, stride, present);
    } else {
#pragma unroll
      for (int u = 0; u < kUnroll; ++u) dy2[u] = {};
    }
  }

  /// `scale` and `shift` are read only to recompute the mask.
  ATHANOR_DEVICE float dz(int u, int v, bool has_dy2, float scale, float shift) const {
    float value = dy[u][v];
    if (has_dy2) value += dy2[u][v];
    if constexpr (kMask == Mask::recomputed) {
      return fmaf(x[u][v], scale, shift) <= kRoundsToZero<T> ? 0.0f : value;
    } else if constexpr (kMask == Mask::from_y) {
      return y[u][v] <= 0.0f ? 0.0f : value;
    } else if constexpr (kMask == Mask::from_bits) {
      return (bits[u] >> v & 1) == 0 ? 0.0f : value;
    }
    return value;
  }
};

/// Σ dz and Σ dz · (x − mean) of each channel; writes dz where the residual's gradient is wanted.
template <Mask kMask, typename T, int V>
ATHANOR_KERNEL __launch_bounds__(kColumnThreads, 2)
    sum_gradients_kernel(ColumnGrid grid, GradientInputs<T> inputs, const float* gamma, const float* beta,
                         const float* inv_std, T* dresidual, double* partials) {
  constexpr int kUnroll = kSumUnroll;
  const ColumnPlace place = column_place(grid);
  float sum[V] = {}, products[V] = {};
  if (place.works) {
    const auto mean = load_floats<V>(inputs.mean + place.channel);
    Floats<V> scale{}, shift{};
    if constexpr (kMask == Mask::recomputed) {
#pragma unroll
      for (int v = 0; v < V; ++v) {
        scale.values[v] = scale_of(gamma[place.channel + v], inv_std[place.channel + v]);
        shift.values[v] = shift_of(beta[place.channel + v], mean[v], scale[v]);
      }
    }
    const bool has_dy2 = inputs.dy2 != nullptr;
    const std::int64_t stride = grid.down * grid.channels;
    for_bands<kUnroll>(grid, place, [&](std::int64_t row, int present) {
      const std::int64_t at = row * grid.channels + place.channel;
      GradientRows<kMask, T, V, kUnroll> rows;
      rows.template load<Reuse::soon>(inputs, at, stride, present);
#pragma unroll
      for (int u = 0; u < kUnroll; ++u) {
        if (u >= present) continue;
        float written[V];
#pragma unroll
        for (int v = 0; v < V; ++v) {
          const float dz = rows.dz(u, v, has_dy2, scale[v], shift[v]);
          sum[v] += dz;
          products[v] = fmaf(dz, rows.x[u][v] - mean[v], products[v]);
          written[v] = dz;
        }
        if (dresidual == nullptr) continue;
        rows.dy[u].set(written);
        rows.dy[u].store(dresidual + at + u * stride);
      }
    });
  }
  double sums[2][V];
#pragma unroll
  for (int v = 0; v < V; ++v) {
    sums[0][v] = sum[v];
    sums[1][v] = products[v];
  }
  store_column_sums<2, V>(grid, sums, partials);
}

/// dx = a · dz + b · (x − mean) + c, with a the forward pass's scale, of the block's rows. `factors`: a, b, c, the
/// shift that recomputes the mask, and the mean of the thread's channels, each `apart` behind the one before.
template <Mask kMask, typename T, int V>
ATHANOR_DEVICE void write_input_gradient(const ColumnGrid& grid, const ColumnPlace& place, int bands,
                                         const GradientInputs<T>& inputs, const float* factors, std::int64_t apart,
                                         T* dx) {
  constexpr int kUnroll = kWriteUnroll;
  const std::int64_t channels = grid.channels, stride = grid.down * channels;
  const auto a = load_factors<V>(factors);
  const auto b = load_factors<V>(factors + apart);
  const auto c = load_factors<V>(factors + 2 * apart);
  const auto mean = load_factors<V>(factors + 4 * apart);
  Floats<V> shift{};
  if constexpr (kMask == Mask::recomputed) shift = load_factors<V>(factors + 3 * apart);
  const bool has_dy2 = inputs.dy2 != nullptr;
  for_last_bands_first<kUnroll>(grid, place, bands, [&](std::int64_t row, int present) {
    const std::int64_t at = row * channels + place.channel;
    GradientRows<kMask, T, V, kUnroll> rows;
    rows.template load<Reuse::none>(inputs, at, stride, present);
#pragma unroll
    for (int u = 0; u < kUnroll; ++u) {
      if (u >= present) continue;
      float result[V];
#pragma unroll
      for (int v = 0; v < V; ++v) {
        const float dz = rows.dz(u, v, has_dy2, a[v], shift[v]);
        const float centred = rows.x[u][v] - mean[v];
        result[v] = fmaf(b[v], centred, fmaf(a[v], dz, c[v]));
      }
      rows.dy[u].set(result);
      rows.dy[u].store(dx + at + u * stride);
    }
  });
}

/// The same from factors in memory, [5, channels].
template <Mask kMask, typename T, int V>
ATHANOR_KERNEL __launch_bounds__(kColumnThreads, 2)
    input_gradient_kernel(ColumnGrid grid, int bands, GradientInputs<T> inputs, const float* factors, T* dx) {
  const ColumnPlace place = column_place(grid);
  wait_for_previous();
  let_next_start();
  if (!place.works) return;
  write_input_gradient<kMask, T, V>(grid, place, bands, inputs, factors + place.channel, grid.channels, dx);
}

/// The factors of the pass above from Σ dz and Σ dz · (x − mean) over n elements.
struct GradientFactors {
  const float* gamma;
  const float* beta;
  const float* mean;
  const float* inv_std;
  float* factors;
  std::int64_t channels;

  ATHANOR_DEVICE void set(std::int64_t channel, double sum, double products, double n) const {
    put(channel, sum, products, n, factors + channel, channels);
  }

  /// Into to[0], to[apart], … of 5.
  ATHANOR_DEVICE void put(std::int64_t channel, double sum, double products, double n, float* to,
                          std::int64_t apart) const {
    const double inv = inv_std[channel], a = static_cast<double>(gamma[channel]) * inv;
    const float scale = scale_of(gamma[channel], inv_std[channel]);
    to[0] = scale;
    to[apart] = static_cast<float>(-a * inv * inv * products / n);
    to[2 * apart] = static_cast<float>(-a * sum / n);
    to[3 * apart] = shift_of(beta[channel], mean[channel], scale);
    to[4 * apart] = mean[channel];
  }
};

template <typename T>
GradientInputs<T> inputs_of(const BatchNormBackward& args) {
  return {static_cast<const T*>(args.dy),
          static_cast<const T*>(args.dy2),
          static_cast<const T*>(args.x),
          static_cast<const T*>(args.y),
          args.mask,
          args.mean};
}

inline bool gradient_is_aligned(const BatchNormBackward& args) {
  return all_aligned(args.dy, args.dy2, args.x, args.y, args.dx, args.dresidual);
}
inline ColumnGrid gradient_grid(const BatchNormBackward& args) {
  return column_grid(args.dtype, args.rows, args.channels, gradient_is_aligned(args), kWideColumnBlocks);
}

/// Runs f.template operator()<T, kMask, V>().
template <typename F>
void with_gradient_kind(const BatchNormBackward& args, const ColumnGrid& grid, F&& f) {
  with_type(args.dtype, [&]<typename T>() {
    with_vector<T>(grid, [&]<int V>() {
      if (!args.relu) {
        f.template operator()<T, Mask::none, V>();
      } else if (args.mask != nullptr) {
        if constexpr (V == 8) f.template operator()<T, Mask::from_bits, V>();
      } else if (args.y != nullptr) {
        f.template operator()<T, Mask::from_y, V>();
      } else {
        f.template operator()<T, Mask::recomputed, V>();
      }
    });
  });
}

/// The pass that sums, without what adds up the slices.
inline void launch_gradient_slices(const BatchNormBackward& args, const ColumnGrid& grid, LaunchStream stream) {
  with_gradient_kind(args, grid, [&]<typename T, Mask kMask, int V>() {
    launch_kernel(sum_gradients_kernel<kMask, T, V>, blocks_of(grid), kColumnThreads, 0, stream, grid,
                  inputs_of<T>(args), args.gamma, args.beta, args.inv_std, static_cast<T*>(args.dresidual),
                  partials_of(args.scratch));
  });
}

template <typename Finish>
void launch_gradient_sums(const BatchNormBackward& args, const Finish& finish, LaunchStream stream) {
  const ColumnGrid grid = gradient_grid(args);
  launch_gradient_slices(args, grid, stream);
  finish_columns<2>(grid, partials_of(args.scratch), finish, stream);
}

inline void launch_input_gradient(const BatchNormBackward& args, LaunchStream stream) {
  const ColumnGrid grid = gradient_grid(args);
  const WriteBlocks write = write_blocks(grid);
  const float* factors = factors_of(args.scratch, args.dtype, args.rows, args.channels);
  with_gradient_kind(args, grid, [&]<typename T, Mask kMask, int V>() {
    launch_early_independent(input_gradient_kernel<kMask, T, V>, write.blocks, kColumnThreads, 0, stream, grid,
                             write.bands, inputs_of<T>(args), factors, static_cast<T*>(args.dx));
  });
}

}  // namespace athanor::kernels::cuda::batch_norm
