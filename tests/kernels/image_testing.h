// Images in every layout, for tests of kernels that depend on it.
#pragma once

#include <functional>

#include "kernels/copy_window.h"
#include "kernels/kernel_testing.h"

namespace athanor::kernels::testing {

using At = std::function<double(std::int64_t n, std::int64_t c, std::int64_t y, std::int64_t x)>;

/// Values of an image in its layout, random where a channel is in use and `padding` beyond.
inline Values random_image(DType dtype, const Image& image, std::uint64_t seed, double padding = 0) {
  Values values = random_values(dtype, image.view.elements(), seed);
  for (std::int64_t n = 0; n < image.view.batch; ++n) {
    for (std::int64_t c = image.channels; c < image.view.channels(); ++c) {
      for (std::int64_t p = 0; p < image.view.pixels; ++p) values.set(offset_of(image.view, n, c, p), padding);
    }
  }
  return values;
}

inline double at(const Values& values, const Image& image, std::int64_t n, std::int64_t c, std::int64_t y,
                 std::int64_t x) {
  return values[offset_of(image.view, n, c, y * image.width + x)];
}

/// Checks every element, layout padding (zero) included.
inline void expect_image(const Values& values, const Image& image, double relative, const At& want) {
  for (std::int64_t n = 0; n < image.view.batch; ++n) {
    for (std::int64_t c = 0; c < image.view.channels(); ++c) {
      for (std::int64_t y = 0; y < image.height; ++y) {
        for (std::int64_t x = 0; x < image.width; ++x) {
          const double expected = c < image.channels ? want(n, c, y, x) : 0;
          ASSERT_NEAR(at(values, image, n, c, y, x), expected, relative * std::fabs(expected))
              << "n " << n << " c " << c << " y " << y << " x " << x;
        }
      }
    }
  }
}

inline std::vector<Image> images_of(std::int64_t batch, std::int64_t channels, std::int64_t height,
                                    std::int64_t width) {
  std::vector<Image> images;
  for (const ChannelView& view : layouts_of(batch, channels, height * width)) {
    images.push_back({view, channels, height, width});
  }
  return images;
}

inline void for_all(const std::function<void(Isa, DType)>& run) {
  for (const Isa isa : isas()) {
    for (const DType dtype : {DType::f32, DType::bf16}) run(isa, dtype);
  }
}

}  // namespace athanor::kernels::testing
