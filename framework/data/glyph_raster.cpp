#include "data/glyph_raster.h"

#include <algorithm>
#include <cmath>

namespace athanor {
namespace {

/// Every round of corner cutting about doubles the points.
constexpr std::size_t kMaxRoundedPoints = 4 * kMaxStrokePoints + 1;

struct Polyline {
  std::array<GlyphPoint, kMaxRoundedPoints> points;
  std::size_t count = 0;

  void add(GlyphPoint p) { points[count++] = p; }
};

GlyphPoint between(GlyphPoint p, GlyphPoint q, float share) {
  return {p.x + share * (q.x - p.x), p.y + share * (q.y - p.y)};
}

/// Chaikin 1974: every edge is replaced by its middle half; an open line keeps its ends.
Polyline cut_corners(const Polyline& line, bool closed) {
  Polyline result;
  const std::size_t edges = closed ? line.count : line.count - 1;
  if (!closed) result.add(line.points[0]);
  for (std::size_t i = 0; i < edges; ++i) {
    const GlyphPoint p = line.points[i], q = line.points[(i + 1) % line.count];
    if (closed || i > 0) result.add(between(p, q, 0.25f));
    if (closed || i + 1 < edges) result.add(between(p, q, 0.75f));
  }
  if (!closed) result.add(line.points[line.count - 1]);
  return result;
}

/// Taylor polynomials: the library's sine may differ in its last bit from one machine to the next.
float sine(float x) {
  const float s = x * x;
  return x * (1 + s * (-1.f / 6 + s * (1.f / 120 + s * (-1.f / 5040 + s * (1.f / 362880)))));
}
float cosine(float x) {
  const float half = sine(0.5f * x);
  return 1 - 2 * half * half;
}

}  // namespace

GlyphTransform glyph_transform(float turn, float scale_x, float scale_y, float shear, GlyphPoint centre) {
  const float s = sine(turn), c = cosine(turn);
  return {.a = c * scale_x,
          .b = c * scale_x * shear - s * scale_y,
          .x0 = centre.x,
          .c = s * scale_x,
          .d = s * scale_x * shear + c * scale_y,
          .y0 = centre.y};
}

DistanceField::DistanceField(int side, float reach) : side_(side), reach_(reach) {
  std::fill_n(squared_.begin(), side * side, reach * reach);
}

void DistanceField::draw(const GlyphStroke& stroke) {
  Polyline line;
  for (std::size_t i = 0; i < stroke.count; ++i) line.add(stroke.points[i]);
  if (stroke.rounded) line = cut_corners(cut_corners(line, stroke.closed), stroke.closed);
  for (std::size_t i = 1; i < line.count; ++i) draw_segment(line.points[i - 1], line.points[i]);
  if (stroke.closed) draw_segment(line.points[line.count - 1], line.points[0]);
}

void DistanceField::draw_segment(GlyphPoint from, GlyphPoint to) {
  const auto first = [&](float low) { return std::max(0, static_cast<int>(low - reach_)); };
  const auto last = [&](float high) { return std::min(side_ - 1, static_cast<int>(high + reach_)); };
  const int y0 = first(std::min(from.y, to.y)), y1 = last(std::max(from.y, to.y));
  const int x0 = first(std::min(from.x, to.x)), x1 = last(std::max(from.x, to.x));
  const float dx = to.x - from.x, dy = to.y - from.y;
  const float per_length = 1 / std::max(dx * dx + dy * dy, 1e-12f);
  for (int y = y0; y <= y1; ++y) {
    float* row = squared_.data() + y * side_;
    const float py = static_cast<float>(y) - from.y;
#pragma omp simd
    for (int x = x0; x <= x1; ++x) {
      const float px = static_cast<float>(x) - from.x;
      float along = (px * dx + py * dy) * per_length;
      along = along < 0 ? 0 : along;
      along = along > 1 ? 1 : along;
      const float ex = px - along * dx, ey = py - along * dy;
      const float distance = ex * ex + ey * ey;
      row[x] = distance < row[x] ? distance : row[x];
    }
  }
}

float DistanceField::ink(std::size_t at, float radius) const {
  const float depth = radius + 0.5f - std::sqrt(squared_[at]);
  return depth < 0 ? 0 : depth > 1 ? 1 : depth;
}

}  // namespace athanor
