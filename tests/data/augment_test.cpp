#include "data/augment.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "base/error.h"
#include "config/registry.h"

namespace athanor {
namespace {

constexpr int kDraws = 50000;

kernels::SampleTransform draw(const Augmentations& augmentations, std::int64_t index) {
  return transform_for(augmentations, 3, 1, index, 28, 20);
}

/// 6 standard deviations of a binomial count.
double slack(double expected) {
  return 6 * std::sqrt(expected);
}

TEST(Augment, DefaultLeavesTheImageAlone) {
  EXPECT_EQ(draw({}, 5), kernels::SampleTransform{});
}

TEST(Augment, CropOffsetsAreUniformInThePadding) {
  std::map<int, int> rows, columns;
  for (int i = 0; i < kDraws; ++i) {
    const auto transform = draw({.crop_padding = 2}, i);
    ++rows[transform.offset_y];
    ++columns[transform.offset_x];
  }
  ASSERT_EQ(rows.size(), 5u);
  ASSERT_EQ(columns.size(), 5u);
  EXPECT_EQ(rows.begin()->first, -2);
  for (const auto& [offset, count] : rows) EXPECT_NEAR(count, kDraws / 5, slack(kDraws / 5));
  for (const auto& [offset, count] : columns) EXPECT_NEAR(count, kDraws / 5, slack(kDraws / 5));
}

TEST(Augment, FlipsInTheStatedShare) {
  for (const double probability : {0.0, 0.25, 0.5, 1.0}) {
    int flips = 0;
    for (int i = 0; i < kDraws; ++i) flips += draw({.flip_probability = probability}, i).flip;
    EXPECT_NEAR(flips, kDraws * probability, slack(kDraws * probability * (1 - probability)));
  }
}

TEST(Augment, CutoutIsCentredAnywhereAndClipped) {
  std::map<int, int> centres;
  int clipped = 0;
  for (int i = 0; i < kDraws; ++i) {
    const auto t = draw({.cutout_size = 8}, i);
    ASSERT_GE(t.cutout_y0, 0);
    ASSERT_GE(t.cutout_x0, 0);
    ASSERT_LE(t.cutout_y1, 28);
    ASSERT_LE(t.cutout_x1, 20);
    ASSERT_GE(t.cutout_y1 - t.cutout_y0, 4);  // a centre on the border keeps half
    ASSERT_LE(t.cutout_y1 - t.cutout_y0, 8);
    ++centres[t.cutout_y0 > 0 ? t.cutout_y0 + 4 : t.cutout_y1 - 4];
    clipped += t.cutout_y1 - t.cutout_y0 < 8;
  }
  ASSERT_EQ(centres.size(), 28u);
  for (const auto& [centre, count] : centres) EXPECT_NEAR(count, kDraws / 28.0, slack(kDraws / 28.0)) << centre;
  // Clipped for centres 0 to 3 above and 25 to 27 below.
  EXPECT_NEAR(clipped, kDraws * 7 / 28.0, slack(kDraws * 7 / 28.0));
}

TEST(Augment, NumbersDependOnSeedEpochAndIndex) {
  const Augmentations all{.crop_padding = 30, .flip_probability = 0.5, .cutout_size = 8};
  const auto base = transform_for(all, 1, 2, 3, 100, 100);
  EXPECT_EQ(base, transform_for(all, 1, 2, 3, 100, 100));
  EXPECT_NE(base, transform_for(all, 2, 2, 3, 100, 100));
  EXPECT_NE(base, transform_for(all, 1, 3, 3, 100, 100));
  EXPECT_NE(base, transform_for(all, 1, 2, 4, 100, 100));
  // One augmentation more does not change the numbers of another.
  EXPECT_EQ(base.offset_y, transform_for({.crop_padding = 30}, 1, 2, 3, 100, 100).offset_y);
}

TEST(Augment, ReadsTheRecipeList) {
  const auto spec = [](const char* kind, Attributes given) {
    Attributes filled = find_schema("augment", kind)->defaults();
    for (const auto& [key, value] : given.entries()) filled.set(key, value);
    return LayerSpec{.kind = kind, .attributes = filled, .children = {}, .place = {}};
  };
  const std::vector<LayerSpec> list{spec("cutout", {{"size", std::int64_t{8}}}), spec("horizontal_flip", {}),
                                    spec("random_crop", {{"padding", std::int64_t{2}}})};
  EXPECT_EQ(augmentations_from(list), (Augmentations{.crop_padding = 2, .flip_probability = 0.5, .cutout_size = 8}));
  EXPECT_THROW(augmentations_from(std::vector{list[0], list[0]}), UsageError);
}

}  // namespace
}  // namespace athanor
