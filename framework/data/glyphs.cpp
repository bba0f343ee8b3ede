// `glyphs`: the built-in data set. Ten figures drawn from (seed, split, index): turned, sheared, stretched, moved, in
// pens of many widths and inks light or dark, among stray strokes and noise. Any size, nothing stored, nothing to
// fetch; hard for a linear model, easy for a small convolutional network.
#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/random.h"
#include "data/dataset.h"
#include "data/fingerprint.h"
#include "data/glyph_raster.h"
#include "data/glyph_shapes.h"

namespace athanor {
namespace {

constexpr std::int64_t kMaxChannels = 3;

/// Everything random about an image, but for its pixel noise.
struct Style {
  float pen = 1;  ///< radius in pixels
  float clutter_pen = 1;
  std::array<float, kMaxChannels> paper{};  ///< 0 to 1, per channel
  std::array<float, kMaxChannels> ink{};
  std::array<float, kMaxChannels> clutter{};
  float slope_x = 0, slope_y = 0;  ///< change of the paper's brightness from edge to edge
  float noise = 0;                 ///< amplitude
};

class Glyphs final : public Dataset {
 public:
  Glyphs(DatasetInfo info, std::int64_t size, Split split, std::uint64_t seed, float difficulty)
      : Dataset(std::move(info)), size_(size), split_(split), seed_(seed), difficulty_(difficulty) {}

  std::int64_t size() const override { return size_; }
  /// The classes follow one another, so that every ten neighbours hold each once.
  std::int32_t label(std::int64_t index) const override { return static_cast<std::int32_t>(index % kGlyphClasses); }
  void read(std::int64_t index, std::span<std::uint8_t> pixels) const override;

 private:
  Style draw_style(RandomStream& random) const;
  void draw_figure(int glyph, float unit, RandomStream& random, DistanceField& field) const;
  void draw_clutter(float unit, RandomStream& random, DistanceField& field) const;
  /// Two blocks of numbers apart: the drawing (a = 2·split) and the noise (a = 2·split + 1).
  RandomStream stream(std::int64_t index, std::uint64_t part) const {
    return {seed_, Purpose::glyphs, 2 * static_cast<std::uint64_t>(split_) + part, static_cast<std::uint64_t>(index)};
  }

  std::int64_t size_;
  Split split_;
  std::uint64_t seed_;
  float difficulty_;
};

float spread(RandomStream& random, float width) {
  return random.uniform(-width, width);
}

Style Glyphs::draw_style(RandomStream& random) const {
  const float unit = static_cast<float>(info().height) / 28;
  Style style;
  style.pen = unit * random.uniform(0.6f, 1.6f);
  style.clutter_pen = unit * random.uniform(0.4f, 1.1f);
  const float contrast = random.uniform(0.45f, 0.9f);
  const float dark = random.uniform(0, 1 - contrast);
  const bool dark_on_light = random.uniform() < 0.5f;
  const float paper = dark_on_light ? dark + contrast : dark;
  const float ink = dark_on_light ? dark : dark + contrast;
  const float clutter = paper + random.uniform(0.3f, 0.6f) * (ink - paper);
  const float tint = info().channels == 1 ? 0.f : 0.2f;
  for (std::size_t c = 0; c < static_cast<std::size_t>(info().channels); ++c) {
    style.paper[c] = paper + spread(random, tint);
    style.ink[c] = ink + spread(random, tint);
    style.clutter[c] = clutter + spread(random, tint);
  }
  style.slope_x = spread(random, 0.1f * difficulty_);
  style.slope_y = spread(random, 0.1f * difficulty_);
  style.noise = difficulty_ * random.uniform(0.03f, 0.2f);
  return style;
}

void Glyphs::draw_figure(int glyph, float unit, RandomStream& random, DistanceField& field) const {
  const float middle = 0.5f * static_cast<float>(info().height - 1);
  const float size = 9 * unit * random.uniform(0.8f, 1.15f);
  const GlyphPoint centre{middle + difficulty_ * spread(random, 3.5f * unit),
                          middle + difficulty_ * spread(random, 3.0f * unit)};
  const GlyphTransform place = glyph_transform(difficulty_ * spread(random, 0.4f), size * random.uniform(0.75f, 1.1f),
                                               size, difficulty_ * spread(random, 0.3f), centre);
  const float wobble = 0.07f * difficulty_;
  for (GlyphStroke stroke : glyph_strokes(glyph)) {
    for (std::size_t i = 0; i < stroke.count; ++i) {
      GlyphPoint& point = stroke.points[i];
      point = place({point.x + spread(random, wobble), point.y + spread(random, wobble)});
    }
    field.draw(stroke);
  }
}

/// Pieces of other figures, two or three control points long, anywhere.
void Glyphs::draw_clutter(float unit, RandomStream& random, DistanceField& field) const {
  const auto pieces = static_cast<int>(difficulty_ * random.uniform(1, 4));
  const auto side = static_cast<float>(info().height);
  for (int piece = 0; piece < pieces; ++piece) {
    const auto strokes = glyph_strokes(static_cast<int>(random.below(kGlyphClasses)));
    GlyphStroke stroke = strokes[random.below(static_cast<std::uint32_t>(strokes.size()))];
    const std::size_t kept = std::min<std::size_t>(stroke.count, 2 + random.below(2));
    const std::size_t begin = random.below(static_cast<std::uint32_t>(stroke.count - kept + 1));
    const GlyphPoint from = stroke.points[begin];
    const float scale = unit * random.uniform(3, 7);
    const GlyphTransform place =
        glyph_transform(spread(random, 3.1f), scale, scale, 0, {random.uniform(0, side), random.uniform(0, side)});
    for (std::size_t i = 0; i < kept; ++i) {
      const GlyphPoint point = stroke.points[begin + i];
      stroke.points[i] = place({point.x - from.x, point.y - from.y});
    }
    stroke.count = kept;
    stroke.closed = false;
    field.draw(stroke);
  }
}

void Glyphs::read(std::int64_t index, std::span<std::uint8_t> pixels) const {
  RandomStream random = stream(index, 0);
  const int side = static_cast<int>(info().height);
  const float unit = static_cast<float>(side) / 28;
  const Style style = draw_style(random);
  DistanceField figure(side, style.pen + 1), clutter(side, style.clutter_pen + 1);
  draw_figure(label(index), unit, random, figure);
  draw_clutter(unit, random, clutter);

  const RandomStream noise = stream(index, 1);
  const auto area = static_cast<std::size_t>(side * side);
  const float step = 1 / static_cast<float>(side - 1);
  std::array<std::uint32_t, 4> bits{};
  for (std::size_t at = 0; at < area; ++at) {
    const float x = static_cast<float>(at % static_cast<std::size_t>(side)) * step - 0.5f;
    const float y = static_cast<float>(at / static_cast<std::size_t>(side)) * step - 0.5f;
    const float slope = x * style.slope_x + y * style.slope_y;
    const float stray = clutter.ink(at, style.clutter_pen), drawn = figure.ink(at, style.pen);
    // A pixel takes 32 bits: a byte for what its channels share, a byte more for each channel.
    if (at % 4 == 0) bits = noise.block(static_cast<std::uint32_t>(at / 4));
    const std::uint32_t word = bits[at % 4];
    for (std::size_t c = 0; c < static_cast<std::size_t>(info().channels); ++c) {
      float value = style.paper[c] + slope;
      value += stray * (style.clutter[c] - value);
      value += drawn * (style.ink[c] - value);
      // The sum of two bytes: a triangle on (−1, 1).
      const std::uint32_t sum = (word & 255u) + (word >> (8 * (c + 1)) & 255u);
      value += style.noise * (static_cast<float>(sum) - 255) * (1.f / 256);
      const float scaled = value * 255 + 0.5f;
      pixels[c * area + at] = static_cast<std::uint8_t>(scaled < 0 ? 0 : scaled > 255 ? 255 : scaled);
    }
  }
}

DatasetInfo describe_glyphs(const Attributes& settings) {
  const std::int64_t channels = settings.integer("channels"), side = settings.integer("side");
  if (channels != 1 && channels != 3) throw UsageError("data.channels is {}, want 1 (grey) or 3 (colour)", channels);
  return {.name = "glyphs",
          .train_size = settings.integer("train_size"),
          .test_size = settings.integer("test_size"),
          .channels = channels,
          .height = side,
          .width = side,
          .classes = kGlyphClasses,
          .fingerprint = {}};
}

std::unique_ptr<Dataset> open_glyphs(const Attributes& settings, Split split) {
  DatasetInfo info = describe_glyphs(settings);
  const std::int64_t size = split == Split::train ? info.train_size : info.test_size;
  info.fingerprint = Fingerprint()
                         .add(std::string_view("glyphs 1"))
                         .add(name_of(split))
                         .add(static_cast<std::uint64_t>(size))
                         .add(static_cast<std::uint64_t>(info.channels))
                         .add(static_cast<std::uint64_t>(info.height))
                         .add(static_cast<std::uint64_t>(settings.integer("seed")))
                         .add(to_text(settings.real("difficulty")))
                         .hex();
  return std::make_unique<Glyphs>(std::move(info), size, split, static_cast<std::uint64_t>(settings.integer("seed")),
                                  static_cast<float>(settings.real("difficulty")));
}

const RegisterDataset kGlyphs{
    {.name = "glyphs",
     .doc = "Built in: ten figures drawn from (seed, index) under distortion, clutter and noise; nothing to fetch.",
     .fields = {integer("train_size", 60000, "Training images.").at_least(1).at_most(1e12),
                integer("test_size", 10000, "Test images, drawn from other keys.").at_least(1).at_most(1e12),
                integer("channels", 1, "1 (grey) or 3 (colour).").at_least(1).at_most(kMaxChannels),
                integer("side", 28, "Height and width in pixels; 32 is usual for 3 channels, 224 for large networks.")
                    .at_least(16)
                    .at_most(kMaxGlyphSide),
                integer("seed", 0, "Another seed is another data set.").at_least(0),
                real("difficulty", 1.0, "Scales distortion, clutter and noise; 0: only size, pen and contrast vary.")
                    .at_least(0)
                    .at_most(2)},
     .shorthand = ""},
    open_glyphs,
    describe_glyphs};

}  // namespace
}  // namespace athanor
