// The direct convolutions against plain loops in double: sizes that no tile divides, one image and several.
#include "kernels/cuda/direct_convolution.h"

#include <fmt/format.h>

#include "gpu/kernels/guarded.h"

namespace athanor::kernels::cuda::testing::direct_convolution {
namespace {

struct Size {
  std::int64_t batch;
  int height, width, channels;
  std::int64_t pixels() const { return batch * height * width; }
  std::string text() const { return fmt::format("{}x{}x{}x{}", batch, height, width, channels); }
};

const std::vector<Size> kSizes{{1, 1, 1, 16},  {5, 7, 5, 16},   {2, 32, 32, 16}, {1, 9, 33, 16}, {1, 2, 256, 16},
                               {3, 3, 11, 32}, {1, 16, 16, 32}, {2, 1, 128, 32}, {2, 8, 8, 64},  {1, 5, 13, 64}};
const std::vector<DType> kShortTypes{DType::bf16, DType::f16};

/// Calls visit(pixel of y, pixel of x, tap) for all that lie within the image.
template <typename Visit>
void for_taps(const Size& s, Visit visit) {
  for (std::int64_t n = 0; n < s.batch; ++n)
    for (int y = 0; y < s.height; ++y)
      for (int x = 0; x < s.width; ++x)
        for (int tap = 0; tap < 9; ++tap) {
          const int at_y = y + tap / 3 - 1, at_x = x + tap % 3 - 1;
          if (at_y < 0 || at_y >= s.height || at_x < 0 || at_x >= s.width) continue;
          visit((n * s.height + y) * s.width + x, (n * s.height + at_y) * s.width + at_x, tap);
        }
}

double& at(std::vector<double>& values, std::int64_t i) {
  return values[static_cast<std::size_t>(i)];
}

/// Sums of `terms` products of normal numbers, rounded to `dtype` at the end.
double bound_of(std::int64_t terms) {
  return 1e-6 * static_cast<double>(terms);
}

TEST(DirectConvolution, EqualsPlainLoops) {
  for (const DType dtype : kShortTypes) {
    for (const Size& s : kSizes) {
      const std::int64_t c = s.channels;
      Guarded x = random_guarded(dtype, s.pixels() * c, 1), w = random_guarded(dtype, c * 9 * c, 2);
      const std::vector<double> xs = x.values(), ws = w.values();
      std::vector<double> want(xs.size()), want_dx(xs.size());
      for_taps(s, [&](std::int64_t to, std::int64_t from, int tap) {
        for (std::int64_t o = 0; o < c; ++o) {
          const double* weights = &ws[static_cast<std::size_t>((o * 9 + tap) * c)];
          const double dy = xs[static_cast<std::size_t>(to * c + o)];
          double sum = 0;
          for (std::int64_t i = 0; i < c; ++i) {
            sum += xs[static_cast<std::size_t>(from * c + i)] * weights[i];
            at(want_dx, from * c + i) += dy * weights[i];
          }
          at(want, to * c + o) += sum;
        }
      });
      in_both_orders([&] {
        for (const bool backward_data : {false, true}) {
          Guarded y(dtype, s.pixels() * c);
          run(DirectConvolution{dtype, backward_data, s.batch, s.height, s.width, s.channels, x.data(), w.data(),
                                y.data()});
          expect_near(y, backward_data ? want_dx : want, bound_of(9 * c), rounding_of(dtype),
                      s.text() + (backward_data ? " backward" : ""));
        }
      });
    }
  }
}

void check_weights(DType dtype, DType gradient, const Size& s, int in_channels) {
  const std::int64_t c = s.channels, in = in_channels;
  Guarded x = random_guarded(dtype, s.pixels() * in, 1), dy = random_guarded(dtype, s.pixels() * c, 2);
  const std::vector<double> xs = x.values(), dys = dy.values();
  std::vector<double> want(static_cast<std::size_t>(c * 9 * in));
  for_taps(s, [&](std::int64_t to, std::int64_t from, int tap) {
    for (std::int64_t o = 0; o < c; ++o) {
      for (std::int64_t i = 0; i < in; ++i) {
        at(want, (o * 9 + tap) * in + i) +=
            dys[static_cast<std::size_t>(to * c + o)] * xs[static_cast<std::size_t>(from * in + i)];
      }
    }
  });
  const ImageTiles tiles = image_tiles(s.batch, s.height, s.width, s.channels);
  in_both_orders([&] {
    Guarded dw(gradient, c * 9 * in);
    Guarded scratch(DType::f32, static_cast<std::int64_t>(direct_weights_scratch_bytes(tiles, s.channels, in_channels) /
                                                          sizeof(float)));
    run(DirectConvolutionWeights{dtype, gradient, s.batch, s.height, s.width, s.channels, in_channels, x.data(),
                                 dy.data(), dw.data(), scratch.data()});
    expect_near(dw, want, bound_of(s.pixels() + 16), rounding_of(gradient) + 1e-6, s.text() + " weights");
  });
}

TEST(DirectConvolutionWeights, EqualsPlainLoops) {
  for (const DType dtype : kShortTypes) {
    for (const Size& s : kSizes) {
      check_weights(dtype, DType::f32, s, s.channels);
      if (s.channels == 16) check_weights(dtype, dtype, s, 4);
    }
  }
  check_weights(DType::f16, DType::f16, {5, 7, 5, 16}, 16);
}

/// More tiles than partial sums, so that a block has several.
TEST(DirectConvolutionWeights, TakeManyTilesABlock) {
  const Size many{300, 1, 20, 16};
  EXPECT_LT(direct_weights_partials(image_tiles(many.batch, 1, 20, 16), 16, 16), many.batch);
  check_weights(DType::f16, DType::f32, many, 16);
  check_weights(DType::f16, DType::f32, many, 4);
  check_weights(DType::f16, DType::f32, {40, 1, 20, 64}, 64);
}

}  // namespace
}  // namespace athanor::kernels::cuda::testing::direct_convolution
