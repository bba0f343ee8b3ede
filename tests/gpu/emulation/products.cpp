#include "gpu/emulation/products.h"

#include <bit>
#include <cmath>
#include <vector>

#include "base/error.h"

namespace athanor::testing {
namespace {

using cuda::ConvolutionSpec;
using cuda::Direction;
using cuda::Epilogue;
using cuda::MatmulSpec;
using Floats = std::vector<float>;
using Doubles = std::vector<double>;

template <typename Act>
void with_elements(DType type, Act act) {
  switch (type) {
    case DType::f32:
      return act.template operator()<float>();
    case DType::bf16:
      return act.template operator()<BFloat16>();
    case DType::f16:
      return act.template operator()<Float16>();
    default:
      throw DeviceError("no product takes {}", name_of(type));
  }
}

/// TF32 keeps 10 bits of a float's significand.
float to_tf32(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if (!std::isfinite(value)) return value;
  return std::bit_cast<float>((bits + 0xfffu + ((bits >> 13) & 1u)) & ~0x1fffu);
}

Floats read(const void* source, std::int64_t count, DType type, bool tf32 = false) {
  Floats values(static_cast<std::size_t>(count));
  with_elements(type, [&]<typename T>() {
    const T* from = static_cast<const T*>(source);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(from[i]);
  });
  if (tf32 && type == DType::f32) {
    for (float& value : values) value = to_tf32(value);
  }
  return values;
}

void write(const Floats& values, void* target, DType type) {
  with_elements(type, [&]<typename T>() {
    T* to = static_cast<T*>(target);
    for (std::size_t i = 0; i < values.size(); ++i) to[i] = T(values[i]);
  });
}

/// sums += factor · row: the inner loop of everything here.
inline void add_row(double* sums, const float* row, double factor, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) sums[i] += factor * static_cast<double>(row[i]);
}

struct Window {
  std::int64_t x_pixel;  ///< n · H · W + ih · W + iw
  std::int64_t y_pixel;
  std::int64_t tap;  ///< kh · KW + kw
};

/// Every pair of an output pixel and an input pixel, padding left out.
template <typename Visit>
void for_each_window(const ConvolutionSpec& s, Visit visit) {
  for (std::int64_t n = 0; n < s.batch; ++n)
    for (std::int64_t oh = 0; oh < s.out_height; ++oh)
      for (std::int64_t ow = 0; ow < s.out_width; ++ow)
        for (std::int64_t kh = 0; kh < s.kernel[0]; ++kh)
          for (std::int64_t kw = 0; kw < s.kernel[1]; ++kw) {
            const std::int64_t ih = oh * s.stride[0] - s.pad_begin[0] + kh * s.dilation[0];
            const std::int64_t iw = ow * s.stride[1] - s.pad_begin[1] + kw * s.dilation[1];
            if (ih < 0 || ih >= s.height || iw < 0 || iw >= s.width) continue;
            visit(Window{(n * s.height + ih) * s.width + iw, (n * s.out_height + oh) * s.out_width + ow,
                         kh * s.kernel[1] + kw});
          }
}

std::size_t at(std::int64_t index) {
  return static_cast<std::size_t>(index);
}

struct Extents {
  explicit Extents(const ConvolutionSpec& s)
      : taps(s.kernel[0] * s.kernel[1]),
        in(s.channels / s.groups),
        out(s.out_channels / s.groups),
        x(s.batch * s.height * s.width * s.channels),
        y(s.batch * s.out_height * s.out_width * s.out_channels),
        w(s.out_channels * taps * in) {}
  std::int64_t taps, in, out;  ///< channels of a group
  std::int64_t x, y, w;        ///< elements
};

/// [O, taps, C/g] to [g, taps, C/g, O/g], so that the innermost loop runs over neighbours.
Floats outputs_innermost(const Floats& w, const ConvolutionSpec& s, const Extents& e) {
  Floats turned(w.size());
  for (std::int64_t o = 0; o < s.out_channels; ++o)
    for (std::int64_t tap = 0; tap < e.taps; ++tap)
      for (std::int64_t c = 0; c < e.in; ++c) {
        const std::int64_t g = o / e.out;
        turned[at(((g * e.taps + tap) * e.in + c) * e.out + o % e.out)] = w[at((o * e.taps + tap) * e.in + c)];
      }
  return turned;
}

void finish_forward(const ConvolutionSpec& s, const Doubles& sums, std::span<void* const> tensors) {
  Floats y(sums.size());
  std::size_t next = 3;
  const Floats bias = s.bias ? read(tensors[next++], s.out_channels, DType::f32) : Floats(at(s.out_channels));
  Doubles total(at(s.out_channels)), squares(at(s.out_channels));
  for (std::size_t i = 0; i < y.size(); ++i) {
    const std::size_t o = i % at(s.out_channels);
    y[i] = static_cast<float>(sums[i] + static_cast<double>(bias[o]));
    if (s.relu && !(y[i] > 0)) y[i] = std::isnan(y[i]) ? y[i] : 0.0f;
    total[o] += static_cast<double>(y[i]);
    squares[o] += static_cast<double>(y[i]) * static_cast<double>(y[i]);
  }
  write(y, tensors[2], s.type);
  if (!s.statistics) return;
  write(Floats(total.begin(), total.end()), tensors[next], DType::f32);
  write(Floats(squares.begin(), squares.end()), tensors[next + 1], DType::f32);
}

void forward(const ConvolutionSpec& s, std::span<void* const> tensors) {
  const Extents e(s);
  const Floats x = read(tensors[0], e.x, s.type, s.tf32);
  const Floats w = outputs_innermost(read(tensors[1], e.w, s.type, s.tf32), s, e);
  Doubles sums(at(e.y));
  for_each_window(s, [&](const Window& at_) {
    for (std::int64_t g = 0; g < s.groups; ++g) {
      double* to = &sums[at(at_.y_pixel * s.out_channels + g * e.out)];
      for (std::int64_t c = 0; c < e.in; ++c) {
        const auto factor = static_cast<double>(x[at(at_.x_pixel * s.channels + g * e.in + c)]);
        add_row(to, &w[at(((g * e.taps + at_.tap) * e.in + c) * e.out)], factor, e.out);
      }
    }
  });
  finish_forward(s, sums, tensors);
}

void backward_data(const ConvolutionSpec& s, std::span<void* const> tensors) {
  const Extents e(s);
  const Floats dy = read(tensors[0], e.y, s.type, s.tf32), w = read(tensors[1], e.w, s.type, s.tf32);
  Doubles sums(at(e.x));
  for_each_window(s, [&](const Window& at_) {
    for (std::int64_t o = 0; o < s.out_channels; ++o) {
      const auto factor = static_cast<double>(dy[at(at_.y_pixel * s.out_channels + o)]);
      add_row(&sums[at(at_.x_pixel * s.channels + o / e.out * e.in)], &w[at((o * e.taps + at_.tap) * e.in)], factor,
              e.in);
    }
  });
  write(Floats(sums.begin(), sums.end()), tensors[2], s.type);
}

void backward_weights(const ConvolutionSpec& s, std::span<void* const> tensors) {
  const Extents e(s);
  const Floats x = read(tensors[0], e.x, s.type, s.tf32), dy = read(tensors[1], e.y, s.type, s.tf32);
  Doubles sums(at(e.w));
  for_each_window(s, [&](const Window& at_) {
    for (std::int64_t o = 0; o < s.out_channels; ++o) {
      const auto factor = static_cast<double>(dy[at(at_.y_pixel * s.out_channels + o)]);
      add_row(&sums[at((o * e.taps + at_.tap) * e.in)], &x[at(at_.x_pixel * s.channels + o / e.out * e.in)], factor,
              e.in);
    }
  });
  write(Floats(sums.begin(), sums.end()), tensors[2], s.gradient);
}

void compute(const ConvolutionSpec& s, std::span<void* const> tensors) {
  if (s.direction == Direction::forward) return forward(s, tensors);
  if (s.direction == Direction::backward_data) return backward_data(s, tensors);
  backward_weights(s, tensors);
}

Floats transposed(const Floats& values, std::int64_t rows, std::int64_t columns) {
  Floats turned(values.size());
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t c = 0; c < columns; ++c) turned[at(c * rows + r)] = values[at(r * columns + c)];
  return turned;
}

double gelu(double x) {
  return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0)));
}

void compute(const MatmulSpec& s, std::span<void* const> tensors) {
  Floats a = read(tensors[0], s.m * s.k, s.type, s.tf32), b = read(tensors[1], s.k * s.n, s.type, s.tf32);
  if (s.transpose_a) a = transposed(a, s.k, s.m);
  if (s.transpose_b) b = transposed(b, s.n, s.k);
  const Floats bias = s.epilogue == Epilogue::none ? Floats(at(s.n)) : read(tensors[3], s.n, s.output);
  Floats d(at(s.m * s.n)), before(at(s.m * s.n));
  for (std::int64_t i = 0; i < s.m; ++i) {
    Doubles sums(bias.begin(), bias.end());
    for (std::int64_t k = 0; k < s.k; ++k) {
      add_row(sums.data(), &b[at(k * s.n)], static_cast<double>(a[at(i * s.k + k)]), s.n);
    }
    for (std::int64_t j = 0; j < s.n; ++j) {
      const double sum = sums[at(j)];
      before[at(i * s.n + j)] = static_cast<float>(sum);
      d[at(i * s.n + j)] = static_cast<float>(s.epilogue == Epilogue::bias_relu && sum < 0 ? 0.0
                                              : s.epilogue == Epilogue::bias_gelu          ? gelu(sum)
                                                                                           : sum);
    }
  }
  write(d, tensors[2], s.output);
  if (s.epilogue == Epilogue::bias_gelu) write(before, tensors[4], s.output);
}

}  // namespace

void compute_product(const cuda::ProductSpec& spec, std::span<void* const> tensors) {
  std::visit([&](const auto& s) { compute(s, tensors); }, spec);
}

}  // namespace athanor::testing
