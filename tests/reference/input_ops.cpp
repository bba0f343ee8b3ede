// What stands before and between the mathematics: prepare_input, cast, reorder, and count_correct after it.
#include "base/dtype.h"
#include "kernels/sample_transform.h"

#include <cstring>

#include "reference/families.h"

namespace athanor::reference {
namespace {

using kernels::SampleTransform;
constexpr std::int64_t kTransformBytes = sizeof(SampleTransform);

SampleTransform transform_of(const Tensor& transforms, std::int64_t n) {
  unsigned char bytes[kTransformBytes];
  for (std::int64_t b = 0; b < kTransformBytes; ++b) bytes[b] = static_cast<unsigned char>(transforms.at(n, b));
  SampleTransform transform;
  std::memcpy(&transform, bytes, sizeof(bytes));
  return transform;
}

bool is_cut(const SampleTransform& t, std::int64_t y, std::int64_t x) {
  return y >= t.cutout_y0 && y < t.cutout_y1 && x >= t.cutout_x0 && x < t.cutout_x1;
}

/// images [N, C, H, W] bytes, transforms [N, bytes of one] -> (pixel / 255 - mean) / std after crop, flip and cutout.
std::vector<Result> prepare_forward(const std::vector<Tensor>& inputs, const Attributes& attributes) {
  const Tensor& images = inputs[0];
  const auto& mean = attributes.get<std::vector<double>>("mean");
  const auto& deviation = attributes.get<std::vector<double>>("std");
  const std::int64_t height = images.shape[2], width = images.shape[3];
  Numbers result(images.shape);
  for (std::int64_t n = 0; n < images.shape[0]; ++n) {
    const SampleTransform t = transform_of(inputs[1], n);
    for (std::int64_t c = 0; c < images.shape[1]; ++c)
      for (std::int64_t y = 0; y < height; ++y)
        for (std::int64_t x = 0; x < width; ++x) {
          if (is_cut(t, y, x)) continue;
          const std::int64_t from_y = y + t.offset_y, from_x = (t.flip ? width - 1 - x : x) + t.offset_x;
          const bool is_inside = from_y >= 0 && from_y < height && from_x >= 0 && from_x < width;
          const double raw = is_inside ? images.at(n, c, from_y, from_x) : 0.0;
          const auto channel = static_cast<std::size_t>(c);
          result.at(n, c, y, x) = (Number(raw / 255.0) - mean[channel]) / deviation[channel];
        }
  }
  return {result_of(result)};
}

Case prepare_case(RandomStream& stream) {
  const std::int64_t samples = between(stream, 1, 4), channels = pick(stream, {1, 3, 16});
  const std::int64_t height = between(stream, 1, 11), width = between(stream, 1, 11);
  Tensor images({samples, channels, height, width}), transforms({samples, kTransformBytes});
  for (double& pixel : images.values) pixel = stream.below(256);
  for (std::int64_t n = 0; n < samples; ++n) {
    SampleTransform t;
    t.offset_y = static_cast<std::int16_t>(between(stream, -4, 4));
    t.offset_x = static_cast<std::int16_t>(between(stream, -4, 4));
    t.flip = coin(stream);
    if (coin(stream)) {
      t.cutout_y0 = static_cast<std::int16_t>(between(stream, 0, height - 1));
      t.cutout_y1 = static_cast<std::int16_t>(between(stream, t.cutout_y0, height));
      t.cutout_x0 = static_cast<std::int16_t>(between(stream, 0, width - 1));
      t.cutout_x1 = static_cast<std::int16_t>(between(stream, t.cutout_x0, width));
    }
    unsigned char bytes[kTransformBytes];
    std::memcpy(bytes, &t, sizeof(bytes));
    for (std::int64_t b = 0; b < kTransformBytes; ++b) transforms.at(n, b) = bytes[b];
  }
  std::vector<double> mean, deviation;
  for (std::int64_t c = 0; c < channels; ++c) {
    mean.push_back(static_cast<double>(stream.uniform(0.2f, 0.6f)));
    deviation.push_back(static_cast<double>(stream.uniform(0.2f, 0.6f)));
  }
  return {{{"mean", mean}, {"std", deviation}, {"dtype", std::string("float32")}}, {images, transforms}};
}

std::vector<Result> cast_forward(const std::vector<Tensor>& inputs, const Attributes& attributes) {
  Tensor y = inputs[0];
  if (attributes.text("dtype") == "bfloat16") {
    for (double& value : y.values) value = static_cast<float>(BFloat16(static_cast<float>(value)));
  }
  return {exact_result(y)};
}

Case cast_case(RandomStream& stream) {
  return {{{"dtype", std::string(coin(stream) ? "bfloat16" : "float32")}},
          {uniform_tensor(pick_image_shape(stream), stream)}};
}

std::vector<Result> reorder_forward(const std::vector<Tensor>& inputs, const Attributes&) {
  return {exact_result(inputs[0])};
}

/// `to`: any layout whose channel blocks divide the channels.
Case reorder_case(RandomStream& stream) {
  const Extents shape = pick_image_shape(stream);
  std::vector<std::string> layouts{"plain", "nhwc"};
  if (shape[1] % 8 == 0) layouts.push_back("nChw8c");
  if (shape[1] % 16 == 0) layouts.push_back("nChw16c");
  const std::string to = layouts[stream.below(static_cast<std::uint32_t>(layouts.size()))];
  return {{{"to", to}}, {uniform_tensor(shape, stream)}};
}

/// Outputs: [labels that are the largest logit, … among the five largest], and each label's rank (-1 where masked).
std::vector<Result> count_forward(const std::vector<Tensor>& inputs, const Attributes&) {
  const Tensor &logits = inputs[0], &labels = inputs[1];
  Tensor counts({2}), ranks({logits.shape[0]});
  for (std::int64_t n = 0; n < logits.shape[0]; ++n) {
    const auto label = static_cast<std::int64_t>(labels[n]);
    ranks[n] = label < 0 ? -1 : 0;
    if (label < 0) continue;
    for (std::int64_t k = 0; k < logits.shape[1]; ++k) {
      const double own = logits.at(n, label), other = logits.at(n, k);
      if (other > own || (other == own && k < label)) ranks[n] += 1;
    }
    if (ranks[n] == 0) counts[0] += 1;
    if (ranks[n] < 5) counts[1] += 1;
  }
  return {exact_result(counts), exact_result(ranks)};
}

/// Few different logits, so that ties are common.
Case count_case(RandomStream& stream) {
  const std::int64_t samples = between(stream, 1, 9), classes = pick(stream, {1, 2, 10, 17, 100});
  Tensor logits({samples, classes}), labels({samples});
  for (double& logit : logits.values) logit = static_cast<double>(stream.below(12)) * 0.25 - 1.0;
  for (double& label : labels.values) {
    label = stream.below(5) == 0 ? -1.0 : static_cast<double>(stream.below(static_cast<std::uint32_t>(classes)));
  }
  return {{}, {logits, labels}};
}

}  // namespace

std::vector<ReferenceOp> input_ops() {
  return {{"prepare_input", prepare_forward, nullptr, prepare_case},
          {"cast", cast_forward, nullptr, cast_case},
          {"reorder", reorder_forward, nullptr, reorder_case},
          {"count_correct", count_forward, nullptr, count_case}};
}

}  // namespace athanor::reference
