#include "kernels/channel_ops.h"

#include <type_traits>

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/sums.h"

namespace athanor::kernels::ATHANOR_ISA {
namespace {

/// A channel group of one image: `lanes` channels at `offset`, of which the first `used` count, from `channel` of [N,
/// C].
struct Plane {
  std::int64_t offset, channel, lanes, used, pixels;
};

template <typename F>
void for_planes(const ChannelOp& op, F&& run) {
  const ChannelView& view = op.view;
  const std::int64_t channels = op.channels ? op.channels : view.channels();
  parallel_items(op.threads, view.batch * view.groups, [&](std::int64_t item) {
    const std::int64_t n = item / view.groups, first = item % view.groups * view.lanes, left = channels - first;
    const std::int64_t used = left < 0 ? 0 : left < view.lanes ? left : view.lanes;
    run(Plane{item * view.pixels * view.lanes, n * channels + first, view.lanes, used, view.pixels});
  });
}

/// y = f(s, offset) for every element, s the channel's value: f(Vec, offset, Full or Partial) → Vec.
template <typename T, typename F>
ATHANOR_INLINE void map_plane(const Plane& plane, const T* s, T* y, F&& f) {
  if (plane.lanes == 1) {
    const Vec value = splat(plane.used ? to_float(s[plane.channel]) : 0.0f);
    for_vectors(
        plane.offset, plane.offset + plane.pixels, [&](std::int64_t i, auto part) __attribute__((always_inline)) {
          store(y + i, f(value, i, part), part);
        });
    return;
  }
  for (std::int64_t p = 0; p < plane.pixels; ++p) {
    const std::int64_t at = plane.offset + p * plane.lanes;
    for_vectors(
        0, plane.used, [&](std::int64_t v, auto part) __attribute__((always_inline)) {
          store(y + at + v, f(load(s + plane.channel + v, part), at + v, part), part);
        });
    for (std::int64_t v = plane.used; v < plane.lanes; ++v) put(y[at + v], 0.0f);
  }
}

/// The sums of kVectors neighbouring vectors of lanes from lane v on: two levels, so that errors stay small over many
/// pixels. Several at once read whole runs of memory where there are many lanes.
template <int kVectors, typename T, typename Part, typename F>
ATHANOR_INLINE void sum_lanes(const Plane& plane, float factor, T* out, std::int64_t v, Part part, F&& terms) {
  Vec sums[kVectors]{};
  for (std::int64_t p = 0; p < plane.pixels;) {
    Vec run[kVectors]{};
    const std::int64_t end = p + 64 < plane.pixels ? p + 64 : plane.pixels;
    for (; p < end; ++p) {
#pragma GCC unroll 4
      for (int k = 0; k < kVectors; ++k) run[k] += terms(plane.offset + p * plane.lanes + v + k * kWidth, part);
    }
    for (int k = 0; k < kVectors; ++k) sums[k] += run[k];
  }
  for (int k = 0; k < kVectors; ++k) store(out + plane.channel + v + k * kWidth, sums[k] * factor, part);
}

/// out[channel] = factor · Σ over the pixels of terms(offset, Full or Partial).
template <typename T, typename F>
ATHANOR_INLINE void sum_plane(const Plane& plane, float factor, T* out, F&& terms) {
  if (plane.lanes == 1) {
    if (plane.used) {
      put(out[plane.channel], factor * static_cast<float>(sum_range(plane.offset, plane.offset + plane.pixels, terms)));
    }
    return;
  }
  std::int64_t first = 0;
  for (; first + 4 * kWidth <= plane.used; first += 4 * kWidth) sum_lanes<4>(plane, factor, out, first, Full{}, terms);
  for_vectors(
      first, plane.used, [&](std::int64_t v, auto part) __attribute__((always_inline)) {
        sum_lanes<1>(plane, factor, out, v, part, terms);
      });
}

/// y = f(s, shift, offset) for every element; `shift` may be null.
template <typename T, typename F>
ATHANOR_INLINE void map_plane(const Plane& plane, const T* s, const T* shift, T* y, F&& f) {
  if (!shift) {
    return map_plane(
        plane, s, y, [&](Vec scale, std::int64_t i, auto part) __attribute__((always_inline)) {
          return f(scale, Vec{}, i, part);
        });
  }
  if (plane.lanes == 1) {
    const Vec offset = splat(plane.used ? to_float(shift[plane.channel]) : 0.0f);
    return map_plane(
        plane, s, y, [&](Vec scale, std::int64_t i, auto part) __attribute__((always_inline)) {
          return f(scale, offset, i, part);
        });
  }
  for (std::int64_t p = 0; p < plane.pixels; ++p) {
    const std::int64_t at = plane.offset + p * plane.lanes;
    for_vectors(
        0, plane.used, [&](std::int64_t v, auto part) __attribute__((always_inline)) {
          const Vec offset = load(shift + plane.channel + v, part);
          store(y + at + v, f(load(s + plane.channel + v, part), offset, at + v, part), part);
        });
    for (std::int64_t v = plane.used; v < plane.lanes; ++v) put(y[at + v], 0.0f);
  }
}

template <bool kResidual, bool kRelu, typename T>
void scale_as(const ChannelOp& op, const Scale& scale) {
  const T* x = static_cast<const T*>(scale.x);
  const T* residual = static_cast<const T*>(scale.residual);
  for_planes(op, [&](const Plane& plane) {
    map_plane(
        plane, static_cast<const T*>(scale.s), static_cast<const T*>(scale.shift),
        static_cast<T*>(scale.y), [&](Vec s, Vec shift, std::int64_t i, auto part) __attribute__((always_inline)) {
          Vec value = fma(load(x + i, part), s, shift * scale.shift_factor);
          if constexpr (kResidual) value += load(residual + i, part);
          return kRelu ? max(Vec{}, value) : value;
        });
  });
}

void scale(const ChannelOp& op, const Scale& scale) {
  with_type(op.dtype, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    const auto run = scale.residual ? (scale.relu ? scale_as<true, true, T> : scale_as<true, false, T>)
                                    : (scale.relu ? scale_as<false, true, T> : scale_as<false, false, T>);
    run(op, scale);
  });
}

void scale_sums(const ChannelOp& op, const ScaleSums& sums) {
  with_type(op.dtype, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    const T *dy = static_cast<const T*>(sums.dy), *dy2 = static_cast<const T*>(sums.dy2);
    const T *x = static_cast<const T*>(sums.x), *y = static_cast<const T*>(sums.y);
    T* dz = static_cast<T*>(sums.dz);
    for_planes(op, [&](const Plane& plane) {
      sum_plane(
          plane, 1.0f, static_cast<T*>(sums.ds), [&](std::int64_t i, auto part) __attribute__((always_inline)) {
            Vec value = load(dy + i, part);
            if (dy2) value += load(dy2 + i, part);
            if (y) value = load(y + i, part) <= 0.0f ? Vec{} : value;
            const Vec product = value * load(x + i, part);
            if (dz) store(dz + i, value, part);
            return product;
          });
      if (!dz || plane.used == plane.lanes) return;
      for (std::int64_t p = 0; p < plane.pixels; ++p) {
        for (std::int64_t v = plane.used; v < plane.lanes; ++v) put(dz[plane.offset + p * plane.lanes + v], 0.0f);
      }
    });
  });
}

void scale_backward(const ChannelOp& op, const void* dy_data, const void* x_data, const void* s_data, void* dx_data,
                    void* ds_data) {
  with_type(op.dtype, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    const T* dy = static_cast<const T*>(dy_data);
    const T* x = static_cast<const T*>(x_data);
    for_planes(op, [&](const Plane& plane) {
      if (ds_data) {
        sum_plane(
            plane, 1.0f, static_cast<T*>(ds_data), [&](std::int64_t i, auto part) __attribute__((always_inline)) {
              return load(dy + i, part) * load(x + i, part);
            });
      }
      if (dx_data) {
        map_plane(
            plane, static_cast<const T*>(s_data),
            static_cast<T*>(dx_data), [&](Vec s, std::int64_t i, auto part) __attribute__((always_inline)) {
              return load(dy + i, part) * s;
            });
      }
    });
  });
}

void global_avg_pool(const ChannelOp& op, const void* x_data, void* y_data) {
  const auto factor = static_cast<float>(1.0 / static_cast<double>(op.view.pixels));
  with_type(op.dtype, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    const T* x = static_cast<const T*>(x_data);
    for_planes(op, [&](const Plane& plane) {
      sum_plane(
          plane, factor, static_cast<T*>(y_data), [&](std::int64_t i, auto part) __attribute__((always_inline)) {
            return load(x + i, part);
          });
    });
  });
}

void global_avg_pool_backward(const ChannelOp& op, const void* dy_data, void* dx_data) {
  const auto factor = static_cast<float>(1.0 / static_cast<double>(op.view.pixels));
  with_type(op.dtype, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    for_planes(op, [&](const Plane& plane) {
      map_plane(
          plane, static_cast<const T*>(dy_data),
          static_cast<T*>(dx_data), [&](Vec s, std::int64_t, auto) __attribute__((always_inline)) {
            return s * factor;
          });
    });
  });
}

}  // namespace

extern const ChannelKernels channel_table = {scale, scale_sums, scale_backward, global_avg_pool,
                                             global_avg_pool_backward};

}  // namespace athanor::kernels::ATHANOR_ISA
