// Kernels that depend on the layout: each is compared with a plain computation on logical [N, C, H, W] values.
#include "base/random.h"
#include "kernels/channel_ops.h"
#include "kernels/copy_window.h"
#include "kernels/dropout.h"
#include "kernels/image_testing.h"
#include "kernels/prepare_input.h"

namespace athanor::kernels::testing {
namespace {

TEST(CopyWindow, ReordersBetweenAnyTwoLayouts) {
  for_all([](Isa isa, DType dtype) {
    for (const Image& from : images_of(2, 19, 3, 5)) {
      for (const Image& to : images_of(2, 19, 3, 5)) {
        const Values x = random_image(dtype, from, 1);
        Values y = random_values(dtype, to.view.elements(), 2);
        WindowCopy copy = reorder_of(dtype, from, to.view);
        copy.from = x.data();
        copy.to = y.data();
        copy_kernels(isa).copy_window(copy);
        expect_image(y, to, 0, [&](auto n, auto c, auto r, auto q) { return at(x, from, n, c, r, q); });
      }
    }
  });
}

TEST(CopyWindow, PadsAndCrops) {
  for_all([](Isa isa, DType dtype) {
    const auto small = images_of(2, 9, 4, 3), large = images_of(2, 9, 7, 8);
    for (std::size_t i = 0; i < small.size(); ++i) {
      const Values x = random_image(dtype, small[i], 1);
      Values y = random_values(dtype, large[i].view.elements(), 2), dx = random_values(dtype, x.count(), 3);
      WindowCopy pad = pad_of(dtype, small[i], large[i], 2, 4);
      pad.from = x.data();
      pad.to = y.data();
      copy_kernels(isa).copy_window(pad);
      expect_image(y, large[i], 0, [&](auto n, auto c, auto r, auto q) {
        return r >= 2 && r < 6 && q >= 4 && q < 7 ? at(x, small[i], n, c, r - 2, q - 4) : 0;
      });
      WindowCopy back = pad_backward_of(dtype, large[i], small[i], 2, 4);
      back.from = y.data();
      back.to = dx.data();
      copy_kernels(isa).copy_window(back);
      expect_image(dx, small[i], 0, [&](auto n, auto c, auto r, auto q) { return at(x, small[i], n, c, r, q); });
    }
  });
}

TEST(CopyWindow, ShortcutAStridesAndWidens) {
  for_all([](Isa isa, DType dtype) {
    for (const auto& [channels, wide] : {std::pair{16, 32}, std::pair{5, 12}, std::pair{8, 8}}) {
      const auto in = images_of(2, channels, 7, 6), out = images_of(2, wide, 4, 3);
      const std::int64_t before = (wide - channels) / 2;
      for (std::size_t i = 0; i < in.size(); ++i) {
        const Values x = random_image(dtype, in[i], 1), dy = random_image(dtype, out[i], 4);
        Values y = random_values(dtype, out[i].view.elements(), 2), dx = random_values(dtype, x.count(), 3);
        WindowCopy forward = shortcut_a_of(dtype, in[i], out[i], 2);
        forward.from = x.data();
        forward.to = y.data();
        forward.threads = 2;
        copy_kernels(isa).copy_window(forward);
        expect_image(y, out[i], 0, [&](auto n, auto c, auto r, auto q) {
          const std::int64_t from = c - before;
          return from >= 0 && from < channels ? at(x, in[i], n, from, 2 * r, 2 * q) : 0;
        });
        WindowCopy backward = shortcut_a_backward_of(dtype, out[i], in[i], 2);
        backward.from = dy.data();
        backward.to = dx.data();
        copy_kernels(isa).copy_window(backward);
        expect_image(dx, in[i], 0, [&](auto n, auto c, auto r, auto q) {
          return r % 2 == 0 && q % 2 == 0 ? at(dy, out[i], n, c + before, r / 2, q / 2) : 0;
        });
      }
    }
  });
}

TEST(CopyWindow, ConcatAndSplitAreInverse) {
  for_all([](Isa isa, DType dtype) {
    const auto a = images_of(2, 11, 3, 4), b = images_of(2, 6, 3, 4), whole = images_of(2, 17, 3, 4);
    for (std::size_t i = 0; i < a.size(); ++i) {
      const Values xa = random_image(dtype, a[i], 1), xb = random_image(dtype, b[i], 2);
      Values y = random_values(dtype, whole[i].view.elements(), 3), back = random_values(dtype, xb.count(), 4);
      const auto run = [&](WindowCopy copy, const Values& from, Values& to) {
        copy.from = from.data();
        copy.to = to.data();
        copy_kernels(isa).copy_window(copy);
      };
      run(concat_of(dtype, a[i], whole[i], 0), xa, y);
      run(concat_of(dtype, b[i], whole[i], 11), xb, y);
      expect_image(y, whole[i], 0, [&](auto n, auto c, auto r, auto q) {
        return c < 11 ? at(xa, a[i], n, c, r, q) : at(xb, b[i], n, c - 11, r, q);
      });
      run(split_of(dtype, whole[i], b[i], 11), y, back);
      expect_image(back, b[i], 0, [&](auto n, auto c, auto r, auto q) { return at(xb, b[i], n, c, r, q); });
    }
  });
}

TEST(ChannelOps, ScaleAndGlobalPoolMatchDouble) {
  for_all([](Isa isa, DType dtype) {
    const double eps = epsilon_of(dtype);
    for (const std::int64_t channels : {1, 8, 19, 67}) {
      for (const Image& image : images_of(2, channels, 9, 11)) {
        SCOPED_TRACE(describe(isa, image.view, dtype));
        const Values x = random_image(dtype, image, 1), dy = random_image(dtype, image, 2, 7);
        const Values s = random_values(dtype, 2 * channels, 3);
        Values y = random_values(dtype, x.count(), 4), dx = y, ds = s, pooled = s, spread = y;
        const ChannelOp op{image.view, dtype, channels, 2};
        const auto& k = channel_kernels(isa);
        k.scale(op, {.x = x.data(), .s = s.data(), .y = y.data()});
        expect_image(y, image, eps,
                     [&](auto n, auto c, auto r, auto q) { return at(x, image, n, c, r, q) * s[n * channels + c]; });
        k.scale_backward(op, dy.data(), x.data(), s.data(), dx.data(), ds.data());
        expect_image(dx, image, eps,
                     [&](auto n, auto c, auto r, auto q) { return at(dy, image, n, c, r, q) * s[n * channels + c]; });
        k.global_avg_pool(op, x.data(), pooled.data());
        k.global_avg_pool_backward(op, s.data(), spread.data());
        expect_image(spread, image, eps + 0x1p-23,
                     [&](auto n, auto c, auto, auto) { return s[n * channels + c] / 99; });
        for (std::int64_t n = 0; n < 2; ++n) {
          for (std::int64_t c = 0; c < channels; ++c) {
            double sum = 0, terms = 0, mean = 0, mean_terms = 0;
            for (std::int64_t p = 0; p < 99; ++p) {
              const std::int64_t i = offset_of(image.view, n, c, p);
              sum += dy[i] * x[i];
              terms += dy[i] * x[i] * dy[i] * x[i];
              mean += x[i];
              mean_terms += x[i] * x[i];
            }
            const double bound = 8 * 0x1p-24 * std::sqrt(99.0), half = dtype == DType::bf16 ? 0x1p-8 : 0;
            ASSERT_NEAR(ds[n * channels + c], sum, bound * std::sqrt(terms) + half * std::fabs(sum));
            ASSERT_NEAR(pooled[n * channels + c], mean / 99,
                        (bound * std::sqrt(mean_terms) + half * std::fabs(mean)) / 99);
          }
        }
      }
    }
  });
}

TEST(ChannelOps, ScaleTakesAShiftAResidualAndReluInEveryLayout) {
  for_all([](Isa isa, DType dtype) {
    for (const std::int64_t channels : {1, 8, 19, 67}) {
      for (const Image& image : images_of(2, channels, 3, 5)) {
        SCOPED_TRACE(describe(isa, image.view, dtype));
        const Values x = random_image(dtype, image, 1), residual = random_image(dtype, image, 2);
        const Values s = random_values(dtype, 2 * channels, 3), shift = random_values(dtype, 2 * channels, 4);
        Values y = random_values(dtype, x.count(), 5);
        const Scale all{x.data(), s.data(), shift.data(), 0.25f, residual.data(), y.data(), true};
        channel_kernels(isa).scale({image.view, dtype, channels, 2}, all);
        for (std::int64_t n = 0; n < 2; ++n) {
          for (std::int64_t c = 0; c < image.view.channels(); ++c) {
            for (std::int64_t p = 0; p < 15; ++p) {
              const std::int64_t i = offset_of(image.view, n, c, p), k = n * channels + c;
              const double product = c < channels ? x[i] * s[k] : 0,
                           sum = c < channels ? shift[k] / 4 + residual[i] : 0;
              // A rounding of each of three sums, relative to the largest of them, and of the result.
              ASSERT_NEAR(
                  y[i], std::fmax(0, product + sum),
                  3 * 0x1p-24 * (std::fabs(product) + std::fabs(sum) + 4) + epsilon_of(dtype) * std::fabs(y[i]));
            }
          }
        }
      }
    }
  });
}

/// dz may be written where dy was; the layout's padding stays zero.
TEST(ChannelOps, ScaleSumsMasksInEveryLayout) {
  for_all([](Isa isa, DType dtype) {
    for (const std::int64_t channels : {1, 8, 19, 67}) {
      for (const Image& image : images_of(2, channels, 9, 11)) {
        SCOPED_TRACE(describe(isa, image.view, dtype));
        const Values x = random_image(dtype, image, 1), dy = random_image(dtype, image, 2);
        const Values dy2 = random_image(dtype, image, 3), y = random_image(dtype, image, 4);
        Values dz = dy, ds = random_values(dtype, 2 * channels, 5);
        channel_kernels(isa).scale_sums({image.view, dtype, channels, 2},
                                        {dz.data(), dy2.data(), y.data(), x.data(), dz.data(), ds.data()});
        const auto masked = [&](std::int64_t i) { return y[i] > 0 ? dy[i] + dy2[i] : 0; };
        for (std::int64_t i = 0; i < x.count(); ++i) {
          ASSERT_NEAR(dz[i], masked(i), epsilon_of(dtype) * std::fabs(masked(i)));
        }
        for (std::int64_t n = 0; n < 2; ++n) {
          for (std::int64_t c = 0; c < channels; ++c) {
            double sum = 0, terms = 0;
            for (std::int64_t p = 0; p < 99; ++p) {
              const std::int64_t i = offset_of(image.view, n, c, p);
              sum += masked(i) * x[i];
              terms += masked(i) * x[i] * masked(i) * x[i];
            }
            ASSERT_NEAR(ds[n * channels + c], sum,
                        8 * 0x1p-24 * std::sqrt(99.0 * terms) + (dtype == DType::bf16 ? 0x1p-8 : 0) * std::fabs(sum));
          }
        }
      }
    }
  });
}

TEST(Dropout, KeepsExactlyTheElementsThatTheStreamSays) {
  const std::vector<std::int64_t> indices{5, std::int64_t{1} << 40};
  for_all([&](Isa isa, DType dtype) {
    for (const auto& [channels, height, width] : {std::tuple{19, 5, 7}, std::tuple{3, 20, 19}, std::tuple{50, 1, 1}}) {
      for (const Image& image : images_of(2, channels, height, width)) {
        const Values x = random_image(dtype, image, 1, 3);
        Values y = x, depth = x;
        Dropout args{.view = image.view,
                     .dtype = dtype,
                     .channels = channels,
                     .x = x.data(),
                     .y = y.data(),
                     .sample_indices = indices.data(),
                     .seed = 77,
                     .key = 0x123456789abcdefull,
                     .epoch = 4,
                     .rate = 0.3f,
                     .threads = 2};
        dropout_kernels(isa).dropout(args);
        const auto stream = [&](Purpose purpose, std::int64_t n) {
          return RandomStream(77 ^ 0x123456789abcdefull, purpose, 4,
                              static_cast<std::uint64_t>(indices[static_cast<std::size_t>(n)]));
        };
        expect_image(y, image, epsilon_of(dtype) + 0x1p-22, [&](auto n, auto c, auto r, auto q) {
          const auto e = static_cast<std::uint32_t>((c * height + r) * width + q);
          const bool kept = uniform_from(stream(Purpose::dropout, n).block(e / 4)[e % 4]) >= 0.3f;
          return kept ? at(x, image, n, c, r, q) / 0.7 : 0;
        });
        for (const float rate : {0.0f, 0.5f, 0.9f}) {
          args.rate = rate;
          args.y = depth.data();
          dropout_kernels(isa).stochastic_depth(args);
          for (std::int64_t n = 0; n < 2; ++n) {
            const bool kept = uniform_from(stream(Purpose::stochastic_depth, n).block(0)[0]) >= rate;
            const std::int64_t i = offset_of(image.view, n, 0, 0);
            ASSERT_NEAR(depth[i], kept ? x[i] / (1 - static_cast<double>(rate)) : 0,
                        (epsilon_of(dtype) + 0x1p-21) * std::fabs(depth[i]));
          }
        }
      }
    }
  });
}

TEST(PrepareInput, CropsFlipsNormalisesAndCutsOut) {
  std::vector<SampleTransform> transforms(4);
  transforms[1].offset_y = -2;
  transforms[1].offset_x = 3;
  transforms[2].flip = true;
  transforms[2].offset_x = -1;
  transforms[3].cutout_y0 = 1;
  transforms[3].cutout_y1 = 4;
  transforms[3].cutout_x0 = 5;
  transforms[3].cutout_x1 = 7;
  std::vector<std::uint8_t> images(4 * 3 * 6 * 7);
  RandomStream stream(1, Purpose::test, 0, 0);
  for (auto& p : images) p = static_cast<std::uint8_t>(stream.below(256));
  const std::vector<float> mean{0.4f, 0.5f, 0.3f}, deviation{0.2f, 0.3f, 0.25f};
  for_all([&](Isa isa, DType dtype) {
    for (const Image& image : images_of(4, 3, 6, 7)) {
      Values y = random_values(dtype, image.view.elements(), 1);
      prepare_input_kernels(isa).prepare_input({.view = image.view,
                                                .dtype = dtype,
                                                .channels = 3,
                                                .height = 6,
                                                .width = 7,
                                                .images = images.data(),
                                                .transforms = transforms.data(),
                                                .mean = mean.data(),
                                                .std = deviation.data(),
                                                .y = y.data(),
                                                .threads = 2});
      expect_image(y, image, epsilon_of(dtype) + 0x1p-24, [&](auto n, auto c, auto r, auto q) {
        const SampleTransform& t = transforms[static_cast<std::size_t>(n)];
        if (r >= t.cutout_y0 && r < t.cutout_y1 && q >= t.cutout_x0 && q < t.cutout_x1) return 0.0;
        const std::int64_t row = r + t.offset_y, column = (t.flip ? 6 - q : q) + t.offset_x;
        const bool inside = row >= 0 && row < 6 && column >= 0 && column < 7;
        const double raw = inside ? images[static_cast<std::size_t>(((n * 3 + c) * 6 + row) * 7 + column)] : 0;
        const auto i = static_cast<std::size_t>(c);
        return (raw / 255 - static_cast<double>(mean[i])) / static_cast<double>(deviation[i]);
      });
    }
  });
}

}  // namespace
}  // namespace athanor::kernels::testing
