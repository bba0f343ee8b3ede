// Augmentation: what the recipe asks for, and the numbers it draws for one sample. The pixels are touched later, by the
// kernel at the head of the step (kernels/sample_transform.h).
#pragma once

#include <cstdint>
#include <span>

#include "config/layer_spec.h"
#include "kernels/sample_transform.h"

namespace athanor {

/// The augmentations of a recipe as numbers. Applied in the order crop, flip, cutout, however the recipe lists them.
/// The default augments nothing.
struct Augmentations {
  int crop_padding = 0;         ///< pixels of black on each side before a crop back to H×W
  double flip_probability = 0;  ///< of mirroring left and right
  int cutout_size = 0;          ///< side of the square in pixels; 0: none

  friend bool operator==(const Augmentations&, const Augmentations&) = default;
};

/// From the recipe's list `data.augment`; kinds and attributes are checked against the schemas of kind "augment"
/// (random_crop, horizontal_flip, cutout). Throws UsageError, with its place, for a kind listed twice or unknown.
Augmentations augmentations_from(std::span<const LayerSpec> list);

/// What happens to sample `index` in `epoch` (counted from 0). A pure function: every number is keyed by (seed, epoch,
/// index) and its purpose. Crop offsets are uniform in [−padding, padding]; the centre of the cutout square is uniform
/// over the image and the square is clipped at the borders (DeVries and Taylor 2017).
kernels::SampleTransform transform_for(const Augmentations& augmentations, std::uint64_t seed, std::uint64_t epoch,
                                       std::int64_t index, std::int64_t height, std::int64_t width);

}  // namespace athanor
