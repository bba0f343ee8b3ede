// Draws strokes as a field of distances: every pixel keeps the squared distance to the nearest stroke, from which ink
// of any width follows with smooth edges. Only additions, products, divisions and square roots, which IEEE 754 fixes,
// so an image has the same bits everywhere.
#pragma once

#include <array>
#include <cstddef>

#include "data/glyph_shapes.h"

namespace athanor {

inline constexpr int kMaxGlyphSide = 256;

/// Maps the box of the shapes to pixels: x' = a·x + b·y + x0, y' = c·x + d·y + y0.
struct GlyphTransform {
  float a = 1, b = 0, x0 = 0;
  float c = 0, d = 1, y0 = 0;

  GlyphPoint operator()(GlyphPoint p) const { return {a * p.x + b * p.y + x0, c * p.x + d * p.y + y0}; }
};

/// `turn` in radians, |turn| ≤ 3.2; scales in pixels per unit; `shear` moves x by shear·y before the turn.
GlyphTransform glyph_transform(float turn, float scale_x, float scale_y, float shear, GlyphPoint centre);

class DistanceField {
 public:
  /// `reach` is the largest distance in pixels that ink() will ask about.
  DistanceField(int side, float reach);
  /// Adds a stroke, its control points already in pixels.
  void draw(const GlyphStroke& stroke);
  /// Ink at pixel `at` = y·side + x for a pen of this radius: 0 outside, 1 inside, a ramp one pixel wide between.
  float ink(std::size_t at, float radius) const;

 private:
  void draw_segment(GlyphPoint from, GlyphPoint to);

  int side_;
  float reach_;
  std::array<float, kMaxGlyphSide * kMaxGlyphSide> squared_;
};

}  // namespace athanor
