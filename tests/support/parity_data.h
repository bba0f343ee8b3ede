// The data and weights of tests/parity/make_training.py, drawn in C++: the same numbers, from the same keyed streams.
#pragma once

#include <cmath>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/random.h"

namespace athanor::testing {

constexpr std::uint64_t kParitySeed = 1234;
constexpr int kParitySide = 28;
constexpr int kParityClasses = 10;

/// A batch [N, 1, 28, 28] of bytes and its labels [N].
struct ParityBatch {
  std::vector<std::uint8_t> images;
  std::vector<std::int32_t> labels;

  /// What the network sees of pixel `element`: (value / 255 - 0.5) / 0.25.
  float input(std::size_t element) const { return static_cast<float>((images[element] / 255.0 - 0.5) / 0.25); }
};

/// The batch of step 1, 2, …: noise, and a bright 7x7 block whose place is the label.
inline ParityBatch parity_batch(int step, int size) {
  const auto stream = [&](std::string_view name) {
    return RandomStream(kParitySeed, Purpose::test, static_cast<std::uint64_t>(step), key_of(name));
  };
  RandomStream label_stream = stream("labels"), pixel_stream = stream("images");
  ParityBatch batch;
  for (int n = 0; n < size; ++n) {
    const auto label = static_cast<int>(label_stream.below(kParityClasses));
    batch.labels.push_back(label);
    for (int h = 0; h < kParitySide; ++h) {
      for (int w = 0; w < kParitySide; ++w) {
        const std::uint32_t brightness = h / 7 * 4 + w / 7 == label ? 99 : 0;
        batch.images.push_back(static_cast<std::uint8_t>(pixel_stream.below(156) + brightness));
      }
    }
  }
  return batch;
}

/// The first weights (or bias) of a convolution or linear, uniform in ±1 / sqrt(fan_in), in logical (OIHW) order.
inline std::vector<float> parity_weights(std::string_view name, std::size_t elements, std::int64_t fan_in) {
  const auto bound = static_cast<float>(1.0 / std::sqrt(static_cast<double>(fan_in)));
  RandomStream stream(kParitySeed, Purpose::test, 0, key_of(name));
  std::vector<float> values;
  for (std::size_t i = 0; i < elements; ++i) values.push_back(stream.uniform(-bound, bound));
  return values;
}

}  // namespace athanor::testing
