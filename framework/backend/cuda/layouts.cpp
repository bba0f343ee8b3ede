#include "backend/cuda/layouts.h"

#include <fmt/format.h>

#include <charconv>

#include "base/error.h"

namespace athanor::cuda {
namespace {

using kernels::cuda::ChannelOrder;

constexpr std::string_view kFoldedImages = "fold2_k";
constexpr std::int64_t kFold = 2, kFoldedBlock = 8;

std::int64_t round_up(std::int64_t count, std::int64_t block) {
  return (count + block - 1) / block * block;
}

/// k of "fold2_k7".
std::int64_t window_of(const Layout& layout) {
  std::int64_t k = 0;
  const char* const end = layout.data() + layout.size();
  const auto [rest, error] = std::from_chars(layout.data() + kFoldedImages.size(), end, k);
  ATHANOR_CHECK(error == std::errc() && rest == end && k >= 3 && k % 2 == 1, "layout {}", layout);
  return k;
}

/// Taps of zeros before a window of k, so that with its padding it begins at an even pixel.
std::int64_t leading_taps(std::int64_t k) {
  return (k - 1) / 2 % kFold;
}

ChannelOrder folded(std::int64_t channels, std::int64_t height, std::int64_t width, std::int64_t front) {
  return {.channels_last = true,
          .channels = round_up(kFold * kFold * channels, kFoldedBlock),
          .height = height,
          .width = width,
          .fold = kFold,
          .front = front};
}

}  // namespace

Layout folded_images(std::int64_t k) {
  return fmt::format("{}{}", kFoldedImages, k);
}

bool is_folded(const Layout& layout) {
  return layout == kFoldedWeights || layout.starts_with(kFoldedImages);
}

bool is_padded(const Layout& layout) {
  return is_folded(layout) || layout.ends_with('4') || layout.ends_with('8');
}

ChannelOrder order_of(const Shape& shape, const Layout& layout) {
  ATHANOR_CHECK(shape.rank() == 4, "layout {} of shape {}", layout, shape.text());
  const std::int64_t channels = shape[1], height = shape[2], width = shape[3];
  if (layout == kFoldedWeights) {
    ATHANOR_CHECK(height == width, "layout {} of shape {}", layout, shape.text());
    const std::int64_t blocks = (height + 1) / kFold;
    return folded(channels, blocks, blocks, leading_taps(height));
  }
  if (is_folded(layout)) {
    const std::int64_t k = window_of(layout), blocks = (k + 1) / kFold;
    ATHANOR_CHECK(height % kFold == 0 && width % kFold == 0, "layout {} of shape {}", layout, shape.text());
    return folded(channels, height / kFold + blocks - 1, width / kFold + blocks - 1, (k - 1) / 2 + leading_taps(k));
  }
  const std::int64_t block = layout.ends_with('4') ? 4 : layout.ends_with('8') ? 8 : 1;
  return {.channels_last = layout.starts_with(kNhwc) || layout.starts_with(kOhwi),
          .channels = round_up(channels, block),
          .height = height,
          .width = width};
}

std::int64_t stored_elements(const Value& value, const Layout& layout) {
  if (value.shape.rank() != 4) return value.shape.elements();
  const ChannelOrder order = order_of(value.shape, layout);
  return value.shape[0] * order.channels * order.height * order.width;
}

}  // namespace athanor::cuda
