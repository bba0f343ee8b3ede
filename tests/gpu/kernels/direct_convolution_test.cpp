// The direct convolutions against plain loops in double: sizes that no tile divides, one image and several.
#include "kernels/cuda/direct_convolution.h"

#include <fmt/format.h>

#include "gpu/kernels/guarded.h"

namespace athanor::kernels::cuda::testing::direct_convolution {
namespace {

/// Of a convolution: x [batch, height, width, in], y [batch, out_height, out_width, out].
struct Size {
  std::int64_t batch;
  int height, width, in, out, stride = 1;
  int out_height() const { return (height - 1) / stride + 1; }
  int out_width() const { return (width - 1) / stride + 1; }
  std::int64_t in_pixels() const { return batch * height * width; }
  std::int64_t out_pixels() const { return batch * out_height() * out_width(); }
  std::int64_t weights() const { return std::int64_t{9} * in * out; }
  std::string text() const { return fmt::format("{}x{}x{} {}>{} s{}", batch, height, width, in, out, stride); }
};

const std::vector<Size> kSizes{
    {1, 1, 1, 16, 16},      {5, 7, 5, 16, 16},    {2, 32, 32, 16, 16},  {1, 9, 33, 16, 16},     {1, 2, 256, 16, 16},
    {3, 3, 11, 32, 32},     {1, 16, 16, 32, 32},  {2, 1, 128, 32, 32},  {2, 8, 8, 64, 64},      {1, 5, 13, 64, 64},
    {2, 32, 32, 16, 32, 2}, {3, 7, 9, 16, 32, 2}, {1, 1, 6, 16, 32, 2}, {2, 16, 16, 32, 64, 2}, {1, 6, 5, 32, 64, 2},
    {3, 7, 5, 4, 16},       {1, 32, 32, 4, 16},   {2, 3, 256, 4, 16}};
const std::vector<DType> kShortTypes{DType::bf16, DType::f16};

/// Calls visit(pixel of y, pixel of x, tap) for all that lie within the image.
template <typename Visit>
void for_taps(const Size& s, Visit visit) {
  for (std::int64_t n = 0; n < s.batch; ++n)
    for (int y = 0; y < s.out_height(); ++y)
      for (int x = 0; x < s.out_width(); ++x)
        for (int tap = 0; tap < 9; ++tap) {
          const int at_y = y * s.stride + tap / 3 - 1, at_x = x * s.stride + tap % 3 - 1;
          if (at_y < 0 || at_y >= s.height || at_x < 0 || at_x >= s.width) continue;
          visit((n * s.out_height() + y) * s.out_width() + x, (n * s.height + at_y) * s.width + at_x, tap);
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
      Guarded x = random_guarded(dtype, s.in_pixels() * s.in, 1), w = random_guarded(dtype, s.weights(), 2);
      const std::vector<double> xs = x.values(), ws = w.values();
      std::vector<double> want(static_cast<std::size_t>(s.out_pixels() * s.out));
      for_taps(s, [&](std::int64_t to, std::int64_t from, int tap) {
        for (std::int64_t o = 0; o < s.out; ++o) {
          const double* weights = &ws[static_cast<std::size_t>((o * 9 + tap) * s.in)];
          for (std::int64_t i = 0; i < s.in; ++i) {
            at(want, to * s.out + o) += xs[static_cast<std::size_t>(from * s.in + i)] * weights[i];
          }
        }
      });
      in_both_orders([&] {
        Guarded y(dtype, s.out_pixels() * s.out);
        run(DirectConvolution{dtype, false, s.batch, s.height, s.width, s.in, s.out, s.stride, x.data(), w.data(),
                              y.data()});
        expect_near(y, want, bound_of(9 * s.in), rounding_of(dtype), s.text());
      });
    }
  }
}

TEST(DirectConvolution, HasTheGradientByX) {
  for (const DType dtype : kShortTypes) {
    for (const Size& s : kSizes) {
      if (s.in == 4) continue;
      Guarded dy = random_guarded(dtype, s.out_pixels() * s.out, 1), w = random_guarded(dtype, s.weights(), 2);
      const std::vector<double> dys = dy.values(), ws = w.values();
      std::vector<double> want(static_cast<std::size_t>(s.in_pixels() * s.in));
      for_taps(s, [&](std::int64_t to, std::int64_t from, int tap) {
        for (std::int64_t o = 0; o < s.out; ++o) {
          const double* weights = &ws[static_cast<std::size_t>((o * 9 + tap) * s.in)];
          const double gradient = dys[static_cast<std::size_t>(to * s.out + o)];
          for (std::int64_t i = 0; i < s.in; ++i) at(want, from * s.in + i) += gradient * weights[i];
        }
      });
      in_both_orders([&] {
        Guarded dx(dtype, s.in_pixels() * s.in);
        run(DirectConvolution{dtype, true, s.batch, s.height, s.width, s.in, s.out, s.stride, dy.data(), w.data(),
                              dx.data()});
        expect_near(dx, want, bound_of(9 * s.out), rounding_of(dtype), s.text());
      });
    }
  }
}

void check_weights(DType dtype, DType gradient, const Size& s) {
  Guarded x = random_guarded(dtype, s.in_pixels() * s.in, 1), dy = random_guarded(dtype, s.out_pixels() * s.out, 2);
  const std::vector<double> xs = x.values(), dys = dy.values();
  std::vector<double> want(static_cast<std::size_t>(s.weights()));
  for_taps(s, [&](std::int64_t to, std::int64_t from, int tap) {
    for (std::int64_t o = 0; o < s.out; ++o) {
      for (std::int64_t i = 0; i < s.in; ++i) {
        at(want, (o * 9 + tap) * s.in + i) +=
            dys[static_cast<std::size_t>(to * s.out + o)] * xs[static_cast<std::size_t>(from * s.in + i)];
      }
    }
  });
  const ImageTiles tiles = image_tiles(s.batch, s.height, s.width, s.out, s.stride);
  in_both_orders([&] {
    Guarded dw(gradient, s.weights());
    Guarded scratch(DType::f32,
                    static_cast<std::int64_t>(direct_weights_scratch_bytes(tiles, s.in, s.out) / sizeof(float)));
    run(DirectConvolutionWeights{dtype, gradient, s.batch, s.height, s.width, s.in, s.out, s.stride, x.data(),
                                 dy.data(), dw.data(), scratch.data()});
    expect_near(dw, want, bound_of(s.out_pixels() + 16), rounding_of(gradient) + 1e-6, s.text() + " weights");
  });
}

TEST(DirectConvolutionWeights, EqualsPlainLoops) {
  for (const DType dtype : kShortTypes) {
    for (const Size& s : kSizes) check_weights(dtype, DType::f32, s);
    check_weights(dtype, dtype, {5, 7, 5, 4, 16});
    check_weights(dtype, dtype, {5, 7, 5, 16, 16});
  }
}

/// More tiles than partial sums, so that a block has several.
TEST(DirectConvolutionWeights, TakeManyTilesABlock) {
  EXPECT_LT(direct_weights_partials(image_tiles(300, 1, 20, 16, 1), 16, 16), 300);
  check_weights(DType::f16, DType::f32, {300, 1, 20, 16, 16});
  check_weights(DType::f16, DType::f32, {300, 1, 20, 4, 16});
  check_weights(DType::f16, DType::f32, {40, 1, 20, 64, 64});
  check_weights(DType::f16, DType::f32, {80, 1, 20, 32, 64, 2});
}

}  // namespace
}  // namespace athanor::kernels::cuda::testing::direct_convolution
