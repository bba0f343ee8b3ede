// The ten figures of the `glyphs` data set as skeletons: pen strokes through control points, our own drawing.
#pragma once

#include <array>
#include <cstddef>
#include <span>

namespace athanor {

struct GlyphPoint {
  float x = 0;
  float y = 0;
};

inline constexpr std::size_t kMaxStrokePoints = 6;

/// A stroke in a box of x in [−0.65, 0.65], y in [−1, 1], y down. Rounded strokes have their corners cut twice (Chaikin
/// 1974); closed ones return to their first point.
struct GlyphStroke {
  std::array<GlyphPoint, kMaxStrokePoints> points;
  std::size_t count = 0;
  bool rounded = false;
  bool closed = false;
};

inline constexpr int kGlyphClasses = 10;

/// The strokes of class 0 to 9, the decimal digits.
std::span<const GlyphStroke> glyph_strokes(int glyph);

}  // namespace athanor
