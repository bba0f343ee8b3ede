// What the batch-norm kernels share: sums over the rows of a channel group, and the passes that write an activation.
// Each kernel is these parts in an order of its own.
#pragma once

#include <type_traits>

#include "kernels/batch_norm.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/plane.h"

namespace athanor::kernels::ATHANOR_ISA::batch_norm {

/// The parts of scratch. Items are (slice of rows, channel group); [items, lanes] is [slices, C].
struct Scratch {
  double* sums;        ///< [slices, C, 2]
  double* block_sums;  ///< [slices, C, 2]
  float* shifts;       ///< [slices, C]
  float* mean;         ///< [C], as the arrays below: padded, so that whole vectors can be read at the end
  float* scale;
  float* shift;
  float* a;
  float* b;
  float* c;
};

inline Scratch scratch_of(const ChannelView& view, int threads, void* memory) {
  const std::int64_t channels = view.channels(), slices = threads > 1 ? threads : 1, padded = channels + kWidth;
  Scratch s;
  s.sums = static_cast<double*>(memory);
  s.block_sums = s.sums + 2 * channels * slices;
  s.shifts = reinterpret_cast<float*>(s.block_sums + 2 * channels * slices);
  s.mean = s.shifts + channels * slices + kWidth;
  s.scale = s.mean + padded;
  s.shift = s.scale + padded;
  s.a = s.shift + padded;
  s.b = s.a + padded;
  s.c = s.b + padded;
  return s;
}

struct Item {
  std::int64_t slice, group, begin, end;  ///< rows [begin, end) of the group
};

template <typename F>
void for_items(const ChannelView& view, int threads, F&& run) {
  const int slices = slices_for(view, threads);
  const std::int64_t rows = view.batch * view.pixels;
  parallel_items(threads, slices * view.groups, [&](std::int64_t index) {
    const std::int64_t slice = index / view.groups;
    run(Item{slice, index % view.groups, rows * slice / slices, rows * (slice + 1) / slices});
  });
}

/// Calls run(null pointer to T, uniform or not): the two choices that every kernel here is compiled for.
template <typename F>
ATHANOR_INLINE void with_kind(DType dtype, const Walk& walk, F&& run) {
  with_type(dtype, [&](auto* type) {
    if (walk.kind == WalkKind::uniform) {
      run(type, std::true_type{});
    } else {
      run(type, std::false_type{});
    }
  });
}

/// Moves the sums of a block, taken round `around`, to the origin. Says whether the next block wants a better centre:
/// the rounding errors of Σ (x − k)² matter once the distance of k from the mean dominates it.
inline bool merge_block(const double* block, const float* around, double count, std::int64_t lanes, double* sums) {
  bool off_centre = false;
  for (std::int64_t lane = 0; lane < lanes; ++lane) {
    const double s1 = block[2 * lane], s2 = block[2 * lane + 1], k = around[lane];
    sums[2 * lane] += s1 + count * k;
    sums[2 * lane + 1] += s2 + 2 * k * s1 + count * k * k;
    off_centre |= s1 * s1 > 0.5 * count * s2;
  }
  return off_centre;
}

/// Σ x and Σ x² of one item, in one pass (a first look at the first block aside).
template <bool kUniform, typename T>
void sum_moments(const ChannelView& view, const Walk& walk, const T* x, const Item& item, const Scratch& scratch) {
  const std::int64_t lanes = view.lanes, first = (item.slice * view.groups + item.group) * lanes;
  double* sums = scratch.sums + 2 * first;
  double* block = scratch.block_sums + 2 * first;
  float* around = scratch.shifts + first;
  for (std::int64_t lane = 0; lane < lanes; ++lane) around[lane] = 0;
  for (std::int64_t i = 0; i < 2 * lanes; ++i) sums[i] = 0;
  Pattern<kUniform> centre(walk, around);
  const auto sum_block = [&](std::int64_t offset, std::int64_t pixels) {
    for (std::int64_t i = 0; i < 2 * lanes; ++i) block[i] = 0;
    add_sums<kUniform>(
        walk, offset, pixels,
        block, [&](std::int64_t at, std::int64_t column, auto part) __attribute__((always_inline)) {
          const Vec d = load(x + at, part) - centre.at(column);
          return Two{d, d * d};
        });
  };
  const auto recentre = [&](double count) {
    for (std::int64_t lane = 0; lane < lanes; ++lane) around[lane] += static_cast<float>(block[2 * lane] / count);
    centre.assign(walk, around);
  };
  bool looked = false;
  for_blocks(view, item.group, item.begin, item.end, walk.block_pixels, [&](std::int64_t offset, std::int64_t pixels) {
    const auto count = static_cast<double>(pixels);
    if (!looked) {
      sum_block(offset, pixels);
      recentre(count);
      looked = true;
    }
    sum_block(offset, pixels);
    if (merge_block(block, around, count, lanes, sums)) recentre(count);
  });
}

/// Adds up the slices' sums of channel c.
struct Moments {
  double s1, s2;
};
inline Moments moments_of(const ChannelView& view, int slices, const Scratch& scratch, std::int64_t channel) {
  Moments m{0, 0};
  for (int slice = 0; slice < slices; ++slice) {
    m.s1 += scratch.sums[2 * (slice * view.channels() + channel)];
    m.s2 += scratch.sums[2 * (slice * view.channels() + channel) + 1];
  }
  return m;
}

struct MeanAndVariance {
  double mean, var;  ///< biased; NaN stays NaN
};
inline MeanAndVariance mean_and_variance(const Moments& m, double n) {
  const double mean = m.s1 / n, squares = m.s2 - m.s1 * mean;
  return {mean, squares > 0 ? squares / n : squares == squares ? 0 : squares};
}

/// The factors of the forward pass; the backward pass makes the same bits from the same numbers.
inline void set_affine(const Scratch& scratch, std::int64_t c, const float* gamma, const float* beta, float mean,
                       float inv_std) {
  const NormAffine affine = norm_affine(gamma, beta, mean, inv_std, c);
  scratch.scale[c] = affine.scale;
  scratch.shift[c] = affine.shift;
}

inline void clear_padding(const ChannelView& view, std::int64_t used, const Scratch& scratch) {
  for (float* values : {scratch.mean, scratch.scale, scratch.shift, scratch.a, scratch.b, scratch.c}) {
    for (std::int64_t c = used; c < view.channels() + kWidth; ++c) values[c] = 0;
  }
}

/// y = max(low, x · scale + shift (+ residual)).
template <bool kUniform, typename T>
void apply(const ChannelView& view, const Walk& walk, const T* x, const T* residual, T* y, bool relu, int threads,
           const Scratch& scratch) {
  const Vec low = splat(relu ? 0.0f : -__builtin_inff());
  for_items(view, threads, [&](const Item& item) {
    const Pattern<kUniform> scale(walk, scratch.scale + item.group * view.lanes);
    const Pattern<kUniform> shift(walk, scratch.shift + item.group * view.lanes);
    for_blocks(view, item.group, item.begin, item.end, view.pixels, [&](std::int64_t offset, std::int64_t pixels) {
      if (residual) {
        for_columns<kUniform>(
            walk, offset, pixels, [&](std::int64_t at, std::int64_t column, auto part) __attribute__((always_inline)) {
              const Vec v = fma(load(x + at, part), scale.at(column), shift.at(column)) + load(residual + at, part);
              store(y + at, max(low, v), part);
            });
      } else {
        for_columns<kUniform>(
            walk, offset, pixels, [&](std::int64_t at, std::int64_t column, auto part) __attribute__((always_inline)) {
              const Vec v = fma(load(x + at, part), scale.at(column), shift.at(column));
              store(y + at, max(low, v), part);
            });
      }
    });
  });
}

enum class Mask { none, recomputed, from_y };

/// dz: the incoming gradient where the forward output was not ≤ 0.
template <Mask kMask, bool kUniform, typename T>
struct MaskedGradient {
  const T* dy;
  const T* dy2;
  const T* x;
  const T* y;
  const Pattern<kUniform>& scale;
  const Pattern<kUniform>& shift;

  template <typename Part>
  [[gnu::always_inline]] Vec at(std::int64_t at, std::int64_t column, Part part) const {
    Vec dz = load(dy + at, part);
    if (dy2) dz += load(dy2 + at, part);
    if constexpr (kMask == Mask::recomputed) {
      dz = fma(load(x + at, part), scale.at(column), shift.at(column)) <= 0.0f ? Vec{} : dz;
    } else if constexpr (kMask == Mask::from_y) {
      dz = load(y + at, part) <= 0.0f ? Vec{} : dz;
    }
    return dz;
  }
};

/// First pass: Σ dz and Σ dz · (x − mean) of one item; writes dz where the residual's gradient is wanted.
template <Mask kMask, bool kUniform, typename T>
void sum_gradients(const BatchNormBackward& args, const Walk& walk, const Item& item, const Scratch& scratch) {
  const std::int64_t lanes = args.view.lanes, first = item.group * lanes;
  double* sums = scratch.sums + 2 * (item.slice * args.view.channels() + first);
  for (std::int64_t i = 0; i < 2 * lanes; ++i) sums[i] = 0;
  const auto* x = static_cast<const T*>(args.x);
  auto* dresidual = static_cast<T*>(args.dresidual);
  const Pattern<kUniform> mean(walk, scratch.mean + first), scale(walk, scratch.scale + first),
      shift(walk, scratch.shift + first);
  const MaskedGradient<kMask, kUniform, T> gradient{
      static_cast<const T*>(args.dy), static_cast<const T*>(args.dy2), x, static_cast<const T*>(args.y), scale, shift};
  for_blocks(args.view, item.group, item.begin, item.end, walk.block_pixels,
             [&](std::int64_t offset, std::int64_t pixels) {
               add_sums<kUniform>(
                   walk, offset, pixels,
                   sums, [&](std::int64_t at, std::int64_t column, auto part) __attribute__((always_inline)) {
                     const Vec dz = gradient.at(at, column, part);
                     if (dresidual) store(dresidual + at, dz, part);
                     return Two{dz, dz * (load(x + at, part) - mean.at(column))};
                   });
             });
}

/// Second pass: dx = a · dz + b · (x − mean) + c.
template <Mask kMask, bool kUniform, typename T>
void apply_gradients(const BatchNormBackward& args, const T* dy, const T* dy2, const Walk& walk, const Item& item,
                     const Scratch& scratch) {
  const std::int64_t first = item.group * args.view.lanes;
  const auto* x = static_cast<const T*>(args.x);
  auto* dx = static_cast<T*>(args.dx);
  const Pattern<kUniform> mean(walk, scratch.mean + first), scale(walk, scratch.scale + first),
      shift(walk, scratch.shift + first), a(walk, scratch.a + first), b(walk, scratch.b + first),
      c(walk, scratch.c + first);
  const MaskedGradient<kMask, kUniform, T> gradient{dy, dy2, x, static_cast<const T*>(args.y), scale, shift};
  for_blocks(
      args.view, item.group, item.begin, item.end, args.view.pixels, [&](std::int64_t offset, std::int64_t pixels) {
        for_columns<kUniform>(
            walk, offset, pixels, [&](std::int64_t at, std::int64_t column, auto part) __attribute__((always_inline)) {
              const Vec dz = gradient.at(at, column, part);
              const Vec centred = load(x + at, part) - mean.at(column);
              store(dx + at, fma(b.at(column), centred, fma(a.at(column), dz, c.at(column))), part);
            });
      });
}

/// Calls run(null pointer to T, uniform or not, where the mask comes from).
template <typename F>
ATHANOR_INLINE void with_masked_kind(const BatchNormBackward& args, const Walk& walk, F&& run) {
  with_kind(args.dtype, walk, [&](auto* type, auto uniform) {
    if (!args.relu) {
      run(type, uniform, std::integral_constant<Mask, Mask::none>{});
    } else if (args.y) {
      run(type, uniform, std::integral_constant<Mask, Mask::from_y>{});
    } else {
      run(type, uniform, std::integral_constant<Mask, Mask::recomputed>{});
    }
  });
}

/// What both passes read for each channel; returns how many channels are in use.
inline std::int64_t set_gradient_channels(const BatchNormBackward& args, const Scratch& scratch) {
  const std::int64_t used = args.channels ? args.channels : args.view.channels();
  clear_padding(args.view, used, scratch);
  for (std::int64_t c = 0; c < used; ++c) {
    scratch.mean[c] = args.mean[c];
    set_affine(scratch, c, args.gamma, args.beta, args.mean[c], args.inv_std[c]);
  }
  return used;
}

/// The factors of dx = a · dz + b · (x − mean) + c from Σ dz and Σ dz · (x − mean) over n elements.
inline void set_gradient_factors(const BatchNormBackward& args, std::int64_t channel, const Moments& m, double n,
                                 const Scratch& scratch) {
  const double inv_std = args.inv_std[channel], a = (args.gamma ? args.gamma[channel] : 1.0f) * inv_std;
  scratch.a[channel] = static_cast<float>(a);
  scratch.b[channel] = static_cast<float>(-a * inv_std * inv_std * m.s2 / n);
  scratch.c[channel] = static_cast<float>(-a * m.s1 / n);
}

}  // namespace athanor::kernels::ATHANOR_ISA::batch_norm
