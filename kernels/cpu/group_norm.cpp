#include "kernels/group_norm.h"

#include <cmath>
#include <type_traits>

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/sums.h"

namespace athanor::kernels::ATHANOR_ISA {
namespace {

/// Visits a group with the channel's values beside the elements: visit(i, gamma, beta, part). With one pixel a channel
/// (layer norm) they are vectors, otherwise the same for a whole plane.
template <typename F>
ATHANOR_INLINE void for_group(const GroupNormShape& shape, std::int64_t first_channel, const float* gamma,
                              const float* beta, F&& visit) {
  if (shape.pixels == 1) {
    for_vectors(
        0, shape.group_channels, [&](std::int64_t i, auto part) __attribute__((always_inline)) {
          const Vec g = gamma ? load(gamma + first_channel + i, part) : splat(1.0f);
          visit(i, g, beta ? load(beta + first_channel + i, part) : Vec{}, part);
        });
    return;
  }
  for (std::int64_t c = 0; c < shape.group_channels; ++c) {
    const Vec g = splat(gamma ? gamma[first_channel + c] : 1.0f), b = splat(beta ? beta[first_channel + c] : 0.0f);
    for_vectors(
        c * shape.pixels, (c + 1) * shape.pixels, [&](std::int64_t i, auto part) __attribute__((always_inline)) {
          visit(i, g, b, part);
        });
  }
}

template <typename T>
void normalize_group(const GroupNormForward& args, std::int64_t item) {
  const GroupNormShape& shape = args.shape;
  const std::int64_t m = shape.group_channels * shape.pixels;
  const T* x = static_cast<const T*>(args.x) + item * m;
  T* y = static_cast<T*>(args.y) + item * m;
  const auto count = static_cast<double>(m);
  const double rough =
      sum_range(
          0, m, [&](std::int64_t i, auto part) __attribute__((always_inline)) { return load(x + i, part); }) /
      count;
  const auto centre = static_cast<float>(rough);
  const double rest =
      sum_range(
          0, m, [&](std::int64_t i, auto part) __attribute__((always_inline)) { return load(x + i, part) - centre; }) /
      count;
  const double squares = sum_range(
                             0, m,
                             [&](std::int64_t i, auto part) __attribute__((always_inline)) {
                               const Vec d = load(x + i, part) - centre;
                               return d * d;
                             }) /
                         count;
  const double var = squares - rest * rest;
  const auto mean = static_cast<float>(static_cast<double>(centre) + rest);
  const auto inv_std = static_cast<float>(1 / std::sqrt((var < 0 ? 0 : var) + static_cast<double>(args.eps)));
  args.mean[item] = mean;
  args.inv_std[item] = inv_std;
  for_group(
      shape, item % shape.groups * shape.group_channels, args.gamma,
      args.beta, [&](std::int64_t i, Vec g, Vec b, auto part) __attribute__((always_inline)) {
        store(y + i, fma((load(x + i, part) - mean) * inv_std, g, b), part);
      });
}

void forward(const GroupNormForward& args) {
  with_type(args.dtype, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    parallel_items(args.threads, args.shape.batch * args.shape.groups,
                   [&](std::int64_t item) { normalize_group<T>(args, item); });
  });
}

/// dgamma and dbeta of group norm: one channel, over the samples.
template <typename T>
void sum_channel(const GroupNormBackward& args, std::int64_t channel) {
  const GroupNormShape& shape = args.shape;
  const std::int64_t channels = shape.groups * shape.group_channels;
  double dgamma = 0, dbeta = 0;
  for (std::int64_t n = 0; n < shape.batch; ++n) {
    const std::int64_t group = n * shape.groups + channel / shape.group_channels;
    const std::int64_t offset = (n * channels + channel) * shape.pixels;
    const T* x = static_cast<const T*>(args.x) + offset;
    const T* dy = static_cast<const T*>(args.dy) + offset;
    const float mean = args.mean[group];
    dbeta += sum_range(
        0, shape.pixels, [&](std::int64_t i, auto part) __attribute__((always_inline)) { return load(dy + i, part); });
    dgamma += sum_range(
                  0, shape.pixels,
                  [&](std::int64_t i, auto part)
                      __attribute__((always_inline)) { return load(dy + i, part) * (load(x + i, part) - mean); }) *
              args.inv_std[group];
  }
  if (args.dgamma) args.dgamma[channel] = static_cast<float>(dgamma);
  if (args.dbeta) args.dbeta[channel] = static_cast<float>(dbeta);
}

/// The same of layer norm: features [begin, end), a vector at a time.
template <typename T>
void sum_features(const GroupNormBackward& args, std::int64_t begin, std::int64_t end) {
  const GroupNormShape& shape = args.shape;
  const std::int64_t features = shape.groups * shape.group_channels;
  for (std::int64_t i = begin; i < end; ++i) {
    double dgamma = 0, dbeta = 0;
    for (std::int64_t n = 0; n < shape.batch; ++n) {
      const std::int64_t group = n * shape.groups + i / shape.group_channels, at = n * features + i;
      const double dy = to_float(static_cast<const T*>(args.dy)[at]);
      const double x = to_float(static_cast<const T*>(args.x)[at]);
      dbeta += dy;
      dgamma += dy * (x - args.mean[group]) * args.inv_std[group];
    }
    if (args.dgamma) args.dgamma[i] = static_cast<float>(dgamma);
    if (args.dbeta) args.dbeta[i] = static_cast<float>(dbeta);
  }
}

template <typename T>
void gradient_of_group(const GroupNormBackward& args, std::int64_t item) {
  const GroupNormShape& shape = args.shape;
  const std::int64_t m = shape.group_channels * shape.pixels, first = item % shape.groups * shape.group_channels;
  const T* x = static_cast<const T*>(args.x) + item * m;
  const T* dy = static_cast<const T*>(args.dy) + item * m;
  T* dx = static_cast<T*>(args.dx) + item * m;
  const float mean = args.mean[item], inv_std = args.inv_std[item];
  double sum_g = 0, sum_gx = 0;
  const auto add_range = [&](std::int64_t begin, std::int64_t end, auto gamma_at) __attribute__((always_inline)) {
    sum_g += sum_range(
        begin, end, [&](std::int64_t i, auto part) __attribute__((always_inline)) {
          return load(dy + i, part) * gamma_at(i, part);
        });
    sum_gx += sum_range(
        begin, end, [&](std::int64_t i, auto part) __attribute__((always_inline)) {
          return load(dy + i, part) * gamma_at(i, part) * ((load(x + i, part) - mean) * inv_std);
        });
  };
  if (shape.pixels == 1) {
    add_range(
        0, m, [&](std::int64_t i, auto part) __attribute__((always_inline)) {
          return args.gamma ? load(args.gamma + first + i, part) : splat(1.0f);
        });
  } else {
    for (std::int64_t c = 0; c < shape.group_channels; ++c) {
      const Vec gamma = splat(args.gamma ? args.gamma[first + c] : 1.0f);
      add_range(
          c * shape.pixels,
          (c + 1) * shape.pixels, [&](std::int64_t, auto) __attribute__((always_inline)) { return gamma; });
    }
  }
  const auto mean_g = static_cast<float>(sum_g / static_cast<double>(m));
  const auto mean_gx = static_cast<float>(sum_gx / static_cast<double>(m));
  for_group(
      shape, first, args.gamma, nullptr, [&](std::int64_t i, Vec gamma, Vec, auto part) __attribute__((always_inline)) {
        const Vec xhat = (load(x + i, part) - mean) * inv_std;
        store(dx + i, inv_std * (load(dy + i, part) * gamma - mean_g - xhat * mean_gx), part);
      });
}

void backward(const GroupNormBackward& args) {
  const GroupNormShape& shape = args.shape;
  with_type(args.dtype, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    if (args.dgamma || args.dbeta) {
      parallel_ranges(args.threads, shape.groups * shape.group_channels, 1, [&](std::int64_t begin, std::int64_t end) {
        if (shape.pixels == 1) return sum_features<T>(args, begin, end);
        for (std::int64_t c = begin; c < end; ++c) sum_channel<T>(args, c);
      });
    }
    parallel_items(args.threads, shape.batch * shape.groups,
                   [&](std::int64_t item) { gradient_of_group<T>(args, item); });
  });
}

}  // namespace

extern const GroupNormKernels group_norm_table = {forward, backward};

}  // namespace athanor::kernels::ATHANOR_ISA
