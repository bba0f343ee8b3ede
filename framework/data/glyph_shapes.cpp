#include "data/glyph_shapes.h"

namespace athanor {
namespace {

constexpr bool kRounded = true;
constexpr bool kClosed = true;

constexpr GlyphStroke kZero[] = {{{{{-.65f, -1.f}, {.65f, -1.f}, {.65f, 1.f}, {-.65f, 1.f}}}, 4, kRounded, kClosed}};
constexpr GlyphStroke kOne[] = {{{{{-.4f, -.55f}, {.1f, -1.f}, {.1f, 1.f}}}, 3}};
constexpr GlyphStroke kTwo[] = {
    {{{{-.55f, -.55f}, {-.45f, -1.1f}, {.7f, -1.1f}, {.6f, -.1f}, {-.05f, .4f}, {-.55f, .95f}}}, 6, kRounded},
    {{{{-.55f, .95f}, {.6f, .95f}}}, 2}};
constexpr GlyphStroke kThree[] = {
    {{{{-.5f, -.85f}, {.1f, -1.2f}, {.75f, -.8f}, {.55f, -.1f}, {-.15f, -.08f}}}, 5, kRounded},
    {{{{-.15f, -.08f}, {.6f, -.1f}, {.8f, .7f}, {.2f, 1.2f}, {-.55f, .8f}}}, 5, kRounded}};
constexpr GlyphStroke kFour[] = {{{{{.25f, 1.f}, {.25f, -1.f}, {-.6f, .35f}, {.6f, .35f}}}, 4}};
constexpr GlyphStroke kFive[] = {
    {{{{.5f, -.95f}, {-.4f, -.95f}, {-.45f, -.1f}}}, 3},
    {{{{-.45f, -.1f}, {.2f, -.4f}, {.8f, .1f}, {.6f, 1.1f}, {-.1f, 1.1f}, {-.55f, .75f}}}, 6, kRounded}};
constexpr GlyphStroke kSix[] = {{{{{-.6f, -.1f}, {.62f, -.1f}, {.62f, 1.f}, {-.6f, 1.f}}}, 4, kRounded, kClosed},
                                {{{{.4f, -1.f}, {-.25f, -.8f}, {-.6f, -.1f}, {-.6f, .5f}}}, 4, kRounded}};
constexpr GlyphStroke kSeven[] = {{{{{-.55f, -.95f}, {.55f, -.95f}, {-.15f, 1.f}}}, 3}};
constexpr GlyphStroke kEight[] = {{{{{-.5f, -1.f}, {.5f, -1.f}, {.5f, -.04f}, {-.5f, -.04f}}}, 4, kRounded, kClosed},
                                  {{{{-.62f, -.04f}, {.62f, -.04f}, {.62f, 1.f}, {-.62f, 1.f}}}, 4, kRounded, kClosed}};
constexpr GlyphStroke kNine[] = {{{{{-.62f, -1.f}, {.6f, -1.f}, {.6f, .1f}, {-.62f, .1f}}}, 4, kRounded, kClosed},
                                 {{{{.6f, -.5f}, {.6f, .1f}, {.45f, .6f}, {.05f, 1.f}}}, 4, kRounded}};

constexpr std::array<std::span<const GlyphStroke>, kGlyphClasses> kStrokesOfGlyph = {
    kZero, kOne, kTwo, kThree, kFour, kFive, kSix, kSeven, kEight, kNine};

}  // namespace

std::span<const GlyphStroke> glyph_strokes(int glyph) {
  return kStrokesOfGlyph[static_cast<std::size_t>(glyph)];
}

}  // namespace athanor
