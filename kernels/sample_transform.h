// What happens to one image between the raw pixels that the loader delivers and the input of the network: the geometry
// of crop, flip and cutout, as numbers drawn by the loader. The input kernel applies it and normalises in the same
// pass.
#pragma once

#include <cstdint>
#include <type_traits>

namespace athanor::kernels {

/// In this order: crop, flip, normalise, cutout. For output pixel (y, x) of an image [C, H, W]:
///   column = flip ? W − 1 − x : x;  raw = pixel (y + offset_y, column + offset_x), 0 (black) outside the image;
///   the normalised value of raw, or 0 (the mean) where cutout_y0 ≤ y < cutout_y1 and cutout_x0 ≤ x < cutout_x1.
/// The default leaves the image as it is. Cutout bounds lie within [0, H] and [0, W]; the box is empty if y0 ≥ y1.
struct SampleTransform {
  std::int16_t offset_y = 0;
  std::int16_t offset_x = 0;
  std::int16_t cutout_y0 = 0;
  std::int16_t cutout_y1 = 0;
  std::int16_t cutout_x0 = 0;
  std::int16_t cutout_x1 = 0;
  bool flip = false;

  friend bool operator==(const SampleTransform&, const SampleTransform&) = default;
};
static_assert(std::is_trivially_copyable_v<SampleTransform> && sizeof(SampleTransform) == 14);

}  // namespace athanor::kernels
