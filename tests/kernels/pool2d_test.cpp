// Pooling in every layout, compared with plain loops on logical [N, C, H, W] values.
#include "kernels/pool2d.h"

#include <cstring>

#include "kernels/image_testing.h"

namespace athanor::kernels::testing {
namespace {

struct Window {
  std::int64_t height, width, kernel_y, kernel_x, stride_y, stride_x, pad_y, pad_x;
};
constexpr Window kWindows[] = {{8, 8, 2, 2, 2, 2, 0, 0},
                               {7, 9, 3, 3, 2, 2, 1, 1},
                               {5, 6, 3, 2, 1, 1, 1, 0},
                               {9, 7, 2, 1, 3, 4, 0, 0},
                               {1, 1, 1, 1, 1, 1, 0, 0}};

TEST(Pool2d, MatchesPlainLoopsInEveryLayout) {
  for_all([](Isa isa, DType dtype) {
    const double eps = dtype == DType::bf16 ? 0x1p-8 : 8 * 0x1p-24;
    for (const Window& w : kWindows) {
      const std::int64_t oh = (w.height + 2 * w.pad_y - w.kernel_y) / w.stride_y + 1;
      const std::int64_t ow = (w.width + 2 * w.pad_x - w.kernel_x) / w.stride_x + 1;
      const auto in = images_of(2, 19, w.height, w.width), out = images_of(2, 19, oh, ow);
      for (std::size_t i = 0; i < in.size(); ++i) {
        for (const bool count_pad : {true, false}) {
          SCOPED_TRACE(describe(isa, in[i].view, dtype) + " kernel " + std::to_string(w.kernel_y));
          Values x = random_image(dtype, in[i], 1);
          for (std::int64_t e = 0; e < x.count(); ++e) x.set(e, std::round(x[e] * 2) / 2);  // ties
          const Values dy = random_image(dtype, out[i], 2);
          Values y(dtype, dy.count()), dx(dtype, x.count()), mean(dtype, dy.count()), dmean(dtype, x.count());
          std::vector<PoolIndex> indices(static_cast<std::size_t>(dy.count()));
          const Pool2d pool{in[i].view, dtype,      w.height,   w.width, oh,      ow,        w.kernel_y,
                            w.kernel_x, w.stride_y, w.stride_x, w.pad_y, w.pad_x, count_pad, 2};
          const auto& k = pool2d_kernels(isa);
          k.max_pool(pool, x.data(), y.data(), indices.data());
          k.max_pool_backward(pool, dy.data(), indices.data(), dx.data());
          k.avg_pool(pool, x.data(), mean.data());
          k.avg_pool_backward(pool, dy.data(), dmean.data());
          // References accumulate in plain NCHW.
          const auto flat = [&](std::int64_t n, std::int64_t c, std::int64_t r, std::int64_t q) {
            return static_cast<std::size_t>(((n * 19 + c) * w.height + r) * w.width + q);
          };
          std::vector<double> want_dx(static_cast<std::size_t>(2 * 19 * w.height * w.width)), want_dmean = want_dx;
          for (std::int64_t n = 0; n < 2; ++n) {
            for (std::int64_t c = 0; c < 19; ++c) {
              for (std::int64_t oy = 0; oy < oh; ++oy) {
                for (std::int64_t ox = 0; ox < ow; ++ox) {
                  double best = -1e300, sum = 0;
                  std::size_t winner = 0;
                  std::vector<std::size_t> members;
                  for (std::int64_t ky = 0; ky < w.kernel_y; ++ky) {
                    for (std::int64_t kx = 0; kx < w.kernel_x; ++kx) {
                      const std::int64_t r = oy * w.stride_y + ky - w.pad_y, q = ox * w.stride_x + kx - w.pad_x;
                      if (r < 0 || q < 0 || r >= w.height || q >= w.width) continue;
                      const double v = at(x, in[i], n, c, r, q);
                      sum += v;
                      members.push_back(flat(n, c, r, q));
                      if (v > best) {
                        best = v;
                        winner = flat(n, c, r, q);
                      }
                    }
                  }
                  const auto count = static_cast<double>(count_pad ? w.kernel_y * w.kernel_x
                                                                   : static_cast<std::int64_t>(members.size()));
                  ASSERT_EQ(at(y, out[i], n, c, oy, ox), best);
                  ASSERT_NEAR(at(mean, out[i], n, c, oy, ox), sum / count, eps * (std::fabs(sum / count) + 1));
                  const double g = at(dy, out[i], n, c, oy, ox);
                  want_dx[winner] += g;
                  for (const std::size_t m : members) want_dmean[m] += g / count;
                }
              }
            }
          }
          for (std::int64_t n = 0; n < 2; ++n) {
            for (std::int64_t c = 0; c < 19; ++c) {
              for (std::int64_t r = 0; r < w.height; ++r) {
                for (std::int64_t q = 0; q < w.width; ++q) {
                  const double dmax = want_dx[flat(n, c, r, q)], davg = want_dmean[flat(n, c, r, q)];
                  ASSERT_NEAR(at(dx, in[i], n, c, r, q), dmax, eps * (std::fabs(dmax) + 2));
                  ASSERT_NEAR(at(dmean, in[i], n, c, r, q), davg, eps * (std::fabs(davg) + 1));
                }
              }
            }
          }
        }
      }
    }
  });
}

TEST(Pool2d, TheGradientOfTheMaximumAddsOutputsInTheirOrder) {
  for (const Isa isa : isas()) {
    for (const Window& w : {Window{9, 12, 3, 3, 2, 2, 1, 1}, Window{8, 7, 2, 2, 2, 2, 0, 0}}) {
      const std::int64_t oh = (w.height + 2 * w.pad_y - w.kernel_y) / w.stride_y + 1;
      const std::int64_t ow = (w.width + 2 * w.pad_x - w.kernel_x) / w.stride_x + 1;
      const auto in = images_of(1, 19, w.height, w.width), out = images_of(1, 19, oh, ow);
      for (std::size_t i = 0; i < in.size(); ++i) {
        SCOPED_TRACE(describe(isa, in[i].view, DType::f32));
        const Values x = random_image(DType::f32, in[i], 1), dy = random_image(DType::f32, out[i], 2);
        Values y(DType::f32, dy.count()), dx(DType::f32, x.count());
        std::vector<PoolIndex> places(static_cast<std::size_t>(dy.count()));
        const Pool2d pool{in[i].view, DType::f32, w.height,   w.width, oh,      ow,   w.kernel_y,
                          w.kernel_x, w.stride_y, w.stride_x, w.pad_y, w.pad_x, true, 2};
        pool2d_kernels(isa).max_pool(pool, x.data(), y.data(), places.data());
        pool2d_kernels(isa).max_pool_backward(pool, dy.data(), places.data(), dx.data());
        std::vector<float> want(static_cast<std::size_t>(x.count()));
        for (std::int64_t c = 0; c < 19; ++c) {
          for (std::int64_t o = 0; o < oh * ow; ++o) {
            const std::int64_t at = offset_of(out[i].view, 0, c, o), place = places[static_cast<std::size_t>(at)];
            const std::int64_t row = o / ow * w.stride_y - w.pad_y + place / w.kernel_x;
            const std::int64_t column = o % ow * w.stride_x - w.pad_x + place % w.kernel_x;
            want[static_cast<std::size_t>(offset_of(in[i].view, 0, c, row * w.width + column))] +=
                static_cast<float>(dy[at]);
          }
        }
        EXPECT_EQ(std::memcmp(want.data(), dx.data(), want.size() * sizeof(float)), 0);
      }
    }
  }
}

TEST(Pool2d, NanWinsItsWindow) {
  const float nan = std::nanf("");
  const std::vector<float> x{1, nan, 3, 4};
  for (const Isa isa : isas()) {
    float y = 0;
    PoolIndex index = 9;
    pool2d_kernels(isa).max_pool({{1, 1, 4, 1}, DType::f32, 2, 2, 1, 1, 2, 2, 2, 2}, x.data(), &y, &index);
    EXPECT_TRUE(std::isnan(y));
    EXPECT_EQ(index, 1);
  }
}

}  // namespace
}  // namespace athanor::kernels::testing
