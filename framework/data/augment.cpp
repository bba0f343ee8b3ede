#include "data/augment.h"

#include <algorithm>
#include <set>
#include <string>

#include "base/error.h"
#include "base/random.h"
#include "config/registry.h"

namespace athanor {
namespace {

const RegisterSchema kRandomCrop{
    "augment",
    {.name = "random_crop",
     .doc = "Pads every side with black, then crops back to the size at a random place.",
     .fields = {integer("padding", 4, "Pixels of padding on each side.").at_least(0).at_most(1024)},
     .shorthand = "padding"}};

const RegisterSchema kHorizontalFlip{
    "augment",
    {.name = "horizontal_flip",
     .doc = "Mirrors left and right.",
     .fields = {real("probability", 0.5, "Share of the samples that are mirrored.").at_least(0).at_most(1)},
     .shorthand = "probability"}};

const RegisterSchema kCutout{
    "augment",
    {.name = "cutout",
     .doc = "Fills a square at a random place with the mean; the square may reach over the border (DeVries and Taylor "
            "2017).",
     .fields = {integer("size", {}, "Side of the square in pixels.").at_least(1).at_most(1024)},
     .shorthand = "size"}};

struct Range {
  std::int16_t begin, end;
};

/// `size` pixels about a centre that is uniform in [0, extent), clipped to the image.
Range cutout_range(std::int64_t centre, std::int64_t size, std::int64_t extent) {
  const std::int64_t begin = centre - size / 2;
  return {static_cast<std::int16_t>(std::max<std::int64_t>(begin, 0)),
          static_cast<std::int16_t>(std::min(begin + size, extent))};
}

}  // namespace

Augmentations augmentations_from(std::span<const LayerSpec> list) {
  Augmentations result;
  std::set<std::string> seen;
  for (const LayerSpec& item : list) {
    if (!seen.insert(item.kind).second) {
      throw UsageError("{}: augmentation '{}' is listed twice; keep one", item.place.text(), item.kind);
    }
    if (item.kind == "random_crop") {
      result.crop_padding = static_cast<int>(item.attributes.integer("padding"));
    } else if (item.kind == "horizontal_flip") {
      result.flip_probability = item.attributes.real("probability");
    } else if (item.kind == "cutout") {
      result.cutout_size = static_cast<int>(item.attributes.integer("size"));
    } else {
      throw UsageError("{}: unknown augmentation '{}'; there are random_crop, horizontal_flip and cutout",
                       item.place.text(), item.kind);
    }
  }
  return result;
}

kernels::SampleTransform transform_for(const Augmentations& augmentations, std::uint64_t seed, std::uint64_t epoch,
                                       std::int64_t index, std::int64_t height, std::int64_t width) {
  const auto stream = [&](Purpose purpose) {
    return RandomStream(seed, purpose, epoch, static_cast<std::uint64_t>(index));
  };
  kernels::SampleTransform transform;
  if (augmentations.crop_padding > 0) {
    RandomStream crop = stream(Purpose::crop);
    const int padding = augmentations.crop_padding;
    const auto choices = static_cast<std::uint32_t>(2 * padding + 1);
    transform.offset_y = static_cast<std::int16_t>(static_cast<int>(crop.below(choices)) - padding);
    transform.offset_x = static_cast<std::int16_t>(static_cast<int>(crop.below(choices)) - padding);
  }
  if (augmentations.flip_probability > 0) {
    transform.flip = stream(Purpose::flip).uniform() < augmentations.flip_probability;
  }
  if (augmentations.cutout_size > 0) {
    RandomStream cutout = stream(Purpose::cutout);
    const Range rows =
        cutout_range(cutout.below(static_cast<std::uint32_t>(height)), augmentations.cutout_size, height);
    const Range columns =
        cutout_range(cutout.below(static_cast<std::uint32_t>(width)), augmentations.cutout_size, width);
    transform.cutout_y0 = rows.begin;
    transform.cutout_y1 = rows.end;
    transform.cutout_x0 = columns.begin;
    transform.cutout_x1 = columns.end;
  }
  return transform;
}

}  // namespace athanor
